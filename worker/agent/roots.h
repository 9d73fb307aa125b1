// The directories that this host shares with the coordinator.
//
// Thread-safe.
#ifndef CHERRY_WORKER_AGENT_ROOTS_H_
#define CHERRY_WORKER_AGENT_ROOTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cherry/v1/resources.pb.h"

namespace cherry::worker {

struct RootPaths {
  std::string data;         // Absolute.
  std::string checkpoints;  // Absolute.
};

// Identity, free and total bytes of both. FAILED_PRECONDITION, ROOT_UNKNOWN names the root without an
// identity.
absl::StatusOr<std::vector<v1::Root>> ReadRoots(const RootPaths& paths);

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_ROOTS_H_
