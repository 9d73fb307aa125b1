// The models that a recipe reads beside the one it trains.
#ifndef CHERRY_WORKER_TRAINER_INPUTS_H_
#define CHERRY_WORKER_TRAINER_INPUTS_H_

#include <memory>

#include "worker/data/mixture.h"
#include "worker/trainer/channel.h"
#include "worker/trainer/device.h"
#include "worker/trainer/gang.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {

// Those of StartAttempt.inputs, verified by rank 0 before any rank loads one; all ranks ask for the same ones
// in the same order. CHECKPOINT_CORRUPT names the role. The pointers must outlive the result.
std::unique_ptr<InputModels> MakeInputModels(WorkerChannel* channel, Gang* gang, const Device& device,
                                             const SplitMixture* train);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_INPUTS_H_
