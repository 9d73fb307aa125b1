// The loss on held-out text.
#ifndef CHERRY_WORKER_TRAINER_VALIDATOR_H_
#define CHERRY_WORKER_TRAINER_VALIDATOR_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "cherry/v1/job.pb.h"
#include "worker/data/mixture.h"
#include "worker/parallel/collective.h"
#include "worker/trainer/batches.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {

struct ValidationPlan {
  const SplitMixture* data = nullptr;
  // The windows of each batch: the first ones of every part, in equal shares; none spans two parts.
  std::vector<std::vector<int64_t>> batches;
  int64_t windows = 0;
  CountedTargets counted = CountedTargets::kAll;
};

ValidationPlan PlanValidation(const v1::JobSpec& spec, const SplitMixture* valid);

// Sums for each of the recipe's groups over the plan's windows, shared out over the ranks, which all call it
// and all get them: each rank the same batches every time. At any world size the same but for rounding.
absl::StatusOr<std::vector<GroupSum>> Validate(const ValidationPlan& plan, Recipe* recipe, at::Device device,
                                               Collective* collective);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_VALIDATOR_H_
