// What a shape must be for there to be a model of it. Pure, thread-safe.
#ifndef CHERRY_COMMON_MODEL_CHECKS_H_
#define CHERRY_COMMON_MODEL_CHECKS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "common/model_plan.h"

namespace cherry {

// Sizes, what divides what, its schedule, and what goes together. Errors name the field below `model.`.
absl::Status CheckShape(const ModelShape& shape);

// VOCABULARY_UNKNOWN, or VOCABULARY_MISMATCH where it is smaller than the dataset's.
absl::Status CheckVocabulary(const ModelShape& shape, int64_t dataset_vocab);

}  // namespace cherry

#endif  // CHERRY_COMMON_MODEL_CHECKS_H_
