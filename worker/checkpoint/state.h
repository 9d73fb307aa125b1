// The state of a model on the host, as a checkpoint holds it.
#ifndef CHERRY_WORKER_CHECKPOINT_STATE_H_
#define CHERRY_WORKER_CHECKPOINT_STATE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace cherry::trainer {

// Where a parameter lies in the flat buffers.
struct TensorPlace {
  std::string name;  // As Hugging Face names it.
  std::vector<int64_t> shape;
  int64_t offset = 0;  // First element.
  int64_t elements = 0;
};

// Three flat fp32 buffers of one layout. Owned, allocated once, reused by every save. Not thread-safe.
struct HostState {
  std::vector<TensorPlace> places;
  std::vector<float> values;
  std::vector<float> exp_avg;
  std::vector<float> exp_avg_sq;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_CHECKPOINT_STATE_H_
