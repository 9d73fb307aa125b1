// Sums gradients over the ranks while backward still runs.
//
// The flat gradient is cut into contiguous buckets of whole parameters, from its end to its beginning: the
// order in which backward completes them. A bucket leaves as soon as it and all before it are complete, so
// every rank sends the same buckets in the same order whatever its own timing. Not thread-safe.
#ifndef CHERRY_WORKER_PARALLEL_BUCKETS_H_
#define CHERRY_WORKER_PARALLEL_BUCKETS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "worker/parallel/collective.h"

namespace cherry::trainer {

inline constexpr int64_t kBucketElements = int64_t{1} << 20;  // 4 MiB.

class GradientBuckets {
 public:
  // `gradients` is the flat gradient; parameter i begins at offsets[i], ascending from 0. Both `gradients`
  // and `collective` must outlive this object. A bucket has at least `bucket_elements`, but for the last one.
  GradientBuckets(absl::Span<float> gradients, std::vector<int64_t> offsets, Collective* collective,
                  int64_t bucket_elements = kBucketElements);

  // Before the backward of the step's last micro-batch: from now on Ready sends what is complete.
  void Arm();
  // Parameter `index` has its whole gradient. Ignored when not armed.
  void Ready(size_t index);
  // After that backward: sends what is left and waits for all sums.
  absl::Status Finish();

  size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    int64_t begin = 0;
    int64_t end = 0;
    size_t parameters = 0;
    size_t missing = 0;  // Parameters whose gradients are not complete yet.
  };
  void SendNext();

  absl::Span<float> gradients_;
  Collective* collective_;
  std::vector<Bucket> buckets_;    // From the end of the flat gradient.
  std::vector<size_t> bucket_of_;  // By parameter.
  size_t next_ = 0;                // First bucket not sent.
  bool armed_ = false;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_PARALLEL_BUCKETS_H_
