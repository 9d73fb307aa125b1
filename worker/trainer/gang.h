// The collectives of an attempt.
#ifndef CHERRY_WORKER_TRAINER_GANG_H_
#define CHERRY_WORKER_TRAINER_GANG_H_

#include <memory>

#include "absl/status/statusor.h"
#include "cherry/v1/trainer.pb.h"
#include "worker/parallel/collective.h"
#include "worker/parallel/rendezvous.h"
#include "worker/trainer/device.h"

namespace cherry::trainer {

// Each has connections of its own, so that none waits behind another's traffic.
struct Gang {
  int rank = 0;
  int world_size = 1;
  std::unique_ptr<Collective> control;     // Small host values, every step.
  std::unique_ptr<Collective> gradients;   // On the model's device.
  std::unique_ptr<Collective> checkpoint;  // Patient: a commit may wait for a coordinator that is away.
};

// Meets the other ranks within the attempt's rendezvous timeout (60 s by default).
absl::StatusOr<Gang> FormGang(const v1::StartRank& start, const Device& device, Rendezvous* rendezvous);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_GANG_H_
