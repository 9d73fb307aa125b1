// Batches whose tokens follow from their number, as compare_*.py makes them once more.
#ifndef CHERRY_TESTS_REFERENCE_BATCHES_H_
#define CHERRY_TESTS_REFERENCE_BATCHES_H_

#include <ATen/ATen.h>

#include <cstdint>

#include "worker/data/batch.h"
#include "worker/kernels/cross_entropy.h"

namespace cherry::trainer {

// `sequences` of `length` tokens below `vocab`, all of them targets.
inline Batch NumberedBatch(int64_t number, int64_t sequences, int64_t length, int64_t vocab) {
  const int64_t tokens = sequences * (length + 1);
  const at::Tensor raw = ((at::arange(tokens, at::kLong) + number * tokens) * 7919 + 104729)
                             .remainder(1000003)
                             .remainder(vocab)
                             .view({sequences, length + 1});
  Batch batch;
  batch.tokens = raw.narrow(1, 0, length).contiguous();
  batch.targets = raw.narrow(1, 1, length).clone();
  batch.counted.assign(static_cast<size_t>(sequences * length), 1);
  for (int64_t i = 0; i < sequences; ++i) {
    batch.samples.push_back(number * sequences + i);
  }
  return batch;
}

inline void Uncount(int64_t target, Batch* batch) {
  batch->counted[static_cast<size_t>(target)] = 0;
  batch->targets.mutable_data_ptr<int64_t>()[target] = kIgnoredTarget;
}

// The same with every seventh target left out.
inline Batch PartlyCountedBatch(int64_t number, int64_t sequences, int64_t length, int64_t vocab) {
  Batch batch = NumberedBatch(number, sequences, length, vocab);
  for (int64_t i = 0; i < sequences * length; i += 7) {
    Uncount(i, &batch);
  }
  return batch;
}

}  // namespace cherry::trainer

#endif  // CHERRY_TESTS_REFERENCE_BATCHES_H_
