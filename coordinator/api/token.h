// The bearer token of a coordinator on loopback: a file that only its owner can read.
//
// Thread-safe.
#ifndef CHERRY_COORDINATOR_API_TOKEN_H_
#define CHERRY_COORDINATOR_API_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::coordinator {

// The token in `path`; made and written with mode 0600 when there is none. FAILED_PRECONDITION
// (TOKEN_FILE_EXPOSED) when others than its owner can read or write it, TOKEN_FILE_INVALID when it is too
// short.
absl::StatusOr<std::string> LoadOrCreateToken(const std::string& path);

// Takes the same time wherever they differ.
bool TokensEqual(absl::string_view a, absl::string_view b);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_TOKEN_H_
