// Evaluation: measures recorded models on held-out text, and works out what follows (common/evaluation.h).
#ifndef CHERRY_WORKER_TRAINER_EVALUATE_H_
#define CHERRY_WORKER_TRAINER_EVALUATE_H_

#include "absl/status/statusor.h"
#include "cherry/v1/resources.pb.h"
#include "worker/data/mixture.h"
#include "worker/trainer/channel.h"
#include "worker/trainer/device.h"
#include "worker/trainer/gang.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {

// Measures every input of the attempt, one after the other, with the held-out text shared out over the ranks;
// all of them call it and get the same. A model counts as a step. STOPPED when that was asked for between two
// models.
absl::StatusOr<v1::Evaluation> Evaluate(WorkerChannel* channel, Gang* gang, const Device& device,
                                        InputModels* inputs, const SplitMixture& valid);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_EVALUATE_H_
