// The loss on held-out text.
#ifndef CHERRY_WORKER_TRAINER_VALIDATOR_H_
#define CHERRY_WORKER_TRAINER_VALIDATOR_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"
#include "worker/parallel/collective.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {

struct ValidationPlan {
  const TokenWindows* data = nullptr;
  int64_t windows = 0;  // The first so many, in order.
  int64_t batch = 1;    // Sequences at a time.
};

// Mean loss in nats per target over the plan's windows, shared out over the ranks, which all call it and all
// get it. At any world size the same but for rounding.
absl::StatusOr<double> Validate(const ValidationPlan& plan, Recipe* recipe, at::Device device,
                                Collective* collective);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_VALIDATOR_H_
