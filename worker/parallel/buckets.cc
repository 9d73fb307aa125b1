#include "worker/parallel/buckets.h"

#include <utility>

namespace cherry::trainer {

GradientBuckets::GradientBuckets(absl::Span<float> gradients, std::vector<int64_t> offsets,
                                 Collective* collective, int64_t bucket_elements)
    : gradients_(gradients), collective_(collective), bucket_of_(offsets.size()) {
  int64_t end = static_cast<int64_t>(gradients.size());
  for (size_t i = offsets.size(); i-- > 0;) {
    if (buckets_.empty() || buckets_.back().end - buckets_.back().begin >= bucket_elements) {
      buckets_.push_back({end, end, 0, 0});
    }
    Bucket& bucket = buckets_.back();
    bucket.begin = offsets[i];
    ++bucket.parameters;
    bucket_of_[i] = buckets_.size() - 1;
    end = offsets[i];
  }
}

void GradientBuckets::Arm() {
  armed_ = true;
  next_ = 0;
  for (Bucket& bucket : buckets_) {
    bucket.missing = bucket.parameters;
  }
}

void GradientBuckets::SendNext() {
  const Bucket& bucket = buckets_[next_++];
  collective_->Start(
      gradients_.subspan(static_cast<size_t>(bucket.begin), static_cast<size_t>(bucket.end - bucket.begin)));
}

void GradientBuckets::Ready(size_t index) {
  if (!armed_) {
    return;
  }
  --buckets_[bucket_of_[index]].missing;
  while (next_ < buckets_.size() && buckets_[next_].missing == 0) {
    SendNext();
  }
}

absl::Status GradientBuckets::Finish() {
  while (next_ < buckets_.size()) {
    SendNext();
  }
  armed_ = false;
  return collective_->Wait();
}

}  // namespace cherry::trainer
