// Windows of tokens as tensors.
#ifndef CHERRY_WORKER_TRAINER_BATCHES_H_
#define CHERRY_WORKER_TRAINER_BATCHES_H_

#include <c10/core/Device.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cherry/v1/job.pb.h"
#include "worker/data/batch.h"
#include "worker/data/mixture.h"

namespace cherry::trainer {

// Whether all targets count, or only what an assistant says.
enum class CountedTargets { kAll, kResponses };

CountedTargets CountedOf(const v1::DataConfig& data);

// The sequences of these windows, in their order, on `device`; samples[i] names window i of them. Labels are
// read when `data` has them open, which kResponses REQUIRES. Thread-safe.
absl::StatusOr<Batch> ReadBatch(const SplitMixture& data, absl::Span<const int64_t> windows,
                                absl::Span<const int64_t> samples, CountedTargets counted,
                                c10::Device device);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_BATCHES_H_
