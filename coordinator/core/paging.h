// Page tokens: where a list goes on, bound to the arguments it began with.
//
// Pure functions, thread-safe.
#ifndef CHERRY_COORDINATOR_CORE_PAGING_H_
#define CHERRY_COORDINATOR_CORE_PAGING_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::coordinator {

// `position` is opaque to callers; `arguments` are all the request's fields but size and token.
std::string MakePageToken(absl::string_view arguments, absl::string_view position);

// The position, "" for an empty token. INVALID_ARGUMENT (PAGE_TOKEN_INVALID) when the token was not made for
// these arguments.
absl::StatusOr<std::string> ReadPageToken(absl::string_view arguments, absl::string_view token);

// The size to use: `fallback` for 0, at most `most`. INVALID_ARGUMENT when negative.
absl::StatusOr<int> PageSize(int64_t asked, int fallback, int most);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_PAGING_H_
