// Reads a checkpoint's tensors back into flat host buffers.
#ifndef CHERRY_WORKER_CHECKPOINT_LOAD_H_
#define CHERRY_WORKER_CHECKPOINT_LOAD_H_

#include <string>

#include "absl/status/status.h"
#include "worker/checkpoint/state.h"

namespace cherry::trainer {

// Fills state->values from model.safetensors. kInvalidArgument names a tensor that is missing, has another
// shape or another type than the model's; kDataLoss a file that cannot be read. Thread-safe for different
// states.
absl::Status LoadWeights(const std::string& directory, HostState* state);

// The same for weights that another run starts from: it may have a chain where they have none, whose values
// stay as they are, and none where they have one.
absl::Status LoadStartWeights(const std::string& directory, HostState* state);

// Fills state->exp_avg and state->exp_avg_sq from optimizer.safetensors.
absl::Status LoadMoments(const std::string& directory, HostState* state);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_CHECKPOINT_LOAD_H_
