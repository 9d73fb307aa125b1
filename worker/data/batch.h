// A micro-batch of one rank.
#ifndef CHERRY_WORKER_DATA_BATCH_H_
#define CHERRY_WORKER_DATA_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cherry::trainer {

struct Batch {
  at::Tensor tokens;   // [sequences, sequence_length] int64, on the model's device
  at::Tensor targets;  // the same; kIgnoredTarget where a target is not counted
  // On the host, [sequences * sequence_length], of the targets.
  std::vector<uint8_t> counted;  // 1 where it is a target: all, or what an assistant says
  std::vector<uint8_t> labels;   // common/token_labels.h; empty when the windows were opened without
  std::vector<int64_t>
      samples;  // [sequences]: what names each for ever, its global sample number or its window

  size_t part = 0;  // Of the data, which the first window is from.

  int64_t sequences() const { return tokens.size(0); }
  int64_t length() const { return tokens.size(1); }
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_DATA_BATCH_H_
