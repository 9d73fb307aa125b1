// All ranks learn of one rank's error, so that an attempt ends with one cause on all of them.
#ifndef CHERRY_WORKER_PARALLEL_AGREEMENT_H_
#define CHERRY_WORKER_PARALLEL_AGREEMENT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/parallel/collective.h"

namespace cherry::trainer {

// OK when `local` is OK on every rank, else the error of the lowest rank that has one, on all of them. Every
// rank calls it. An error of the collective itself is PEER_LOST.
absl::Status AgreeOn(const absl::Status& local, Collective* collective);

// rank 0's `text`, on every rank.
absl::StatusOr<std::string> BroadcastString(const std::string& text, Collective* collective, int root = 0);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_PARALLEL_AGREEMENT_H_
