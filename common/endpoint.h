// Addresses as "HOST:PORT".
//
// Pure; thread-safe.
#ifndef CHERRY_COMMON_ENDPOINT_H_
#define CHERRY_COMMON_ENDPOINT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry {

struct Endpoint {
  std::string host;  // Without brackets.
  int port = 0;      // 0..65535
  std::string ToString() const;
};

// "127.0.0.1:7070", "host:7070", "[::1]:7070". ENDPOINT_INVALID names the flag.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text, absl::string_view flag);

// localhost, 127.0.0.0/8 and ::1.
bool IsLoopback(absl::string_view host);

}  // namespace cherry

#endif  // CHERRY_COMMON_ENDPOINT_H_
