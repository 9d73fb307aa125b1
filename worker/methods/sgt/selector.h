// The selectors of selective training: which rows of a micro-batch go through the head and its loss.
//
// How many rows that are is known from data alone, so that sizes are fixed and nothing waits for the device.
// One rank, one thread. Torch's exceptions pass through.
#ifndef CHERRY_WORKER_METHODS_SGT_SELECTOR_H_
#define CHERRY_WORKER_METHODS_SGT_SELECTOR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "cherry/v1/job.pb.h"
#include "worker/data/batch.h"

namespace cherry::trainer {

// Supervised targets (G) and the others (the rest of F).
struct TargetCounts {
  double supervised = 0.0;
  double others = 0.0;
  std::vector<double> further = {};  // Targets of depth k of further tokens, where that is known from data.

  void Add(const TargetCounts& more);
};

// Rows of a flattened micro-batch, in ascending order, then padding.
struct Rows {
  at::Tensor index;    // [k] int64
  at::Tensor targets;  // [k] int64; kIgnoredTarget where it is padding
};

class Selector {
 public:
  // `sgt` is resolved.
  Selector(const v1::SgtConfig& sgt, uint64_t seed);

  // Whether Select needs scores: the model's, or a reference's, for every row.
  bool scores_rows() const;

  TargetCounts Count(const Batch& batch) const;

  // [sequences * length] bool on the device of the batch. `scores` [sequences * length] fp32, highest first,
  // of equal ones the first; undefined where the selector needs none.
  at::Tensor Select(const Batch& batch, const at::Tensor& scores) const;

  // The same for `random` whatever the selector is: the split that its coupling is measured against. Drawn by
  // other keys than those of `random`.
  at::Tensor SelectRandom(const Batch& batch) const;

  // The rows of Select's mask, as many as the budget of such a batch can be at most.
  Rows Gather(const Batch& batch, const at::Tensor& mask) const;

 private:
  struct Plan;
  Plan MakePlan(const Batch& batch) const;
  int64_t GroupLength(const Batch& batch) const;
  int64_t Capacity(const Batch& batch) const;
  std::vector<uint64_t> Keys(const Batch& batch, uint64_t seed) const;

  v1::SgtConfig sgt_;
  uint64_t seed_;
  int categories_ = 0;
};

// The rows where `mask` [n] is true, in ascending order, `count` of them; padding where there are fewer.
Rows GatherRows(const at::Tensor& mask, const at::Tensor& targets, int64_t count);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_METHODS_SGT_SELECTOR_H_
