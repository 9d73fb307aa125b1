// Windows of tokens as tensors.
#ifndef CHERRY_WORKER_TRAINER_BATCHES_H_
#define CHERRY_WORKER_TRAINER_BATCHES_H_

#include <c10/core/Device.h>

#include <cstdint>

#include "absl/types/span.h"
#include "worker/data/dataset.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {

// The sequences of these windows, in their order, on `device`. Thread-safe.
Batch ReadBatch(const TokenWindows& data, absl::Span<const int64_t> windows, c10::Device device);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_BATCHES_H_
