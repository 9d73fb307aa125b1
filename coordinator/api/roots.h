// The roots that the coordinator and its workers share, and the proof that they do: an identity file in each.
//
// Thread-safe.
#ifndef CHERRY_COORDINATOR_API_ROOTS_H_
#define CHERRY_COORDINATOR_API_ROOTS_H_

#include <string>

#include "absl/status/statusor.h"

namespace cherry::coordinator {

// The content of `root`/.cherry-root; makes the root and the file when there is none.
absl::StatusOr<std::string> LoadOrCreateRootId(const std::string& root);

// Removes a directory beneath `root`; fine when it is not there. PATH_LEAVES_ROOT when it is not beneath it.
absl::Status RemoveBeneath(const std::string& root, const std::string& relative);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_ROOTS_H_
