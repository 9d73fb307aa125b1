#include "coordinator/core/paging.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "common/status.h"

namespace cherry::coordinator {
namespace {

constexpr size_t kHashBytes = 8;

std::string ShortHash(absl::string_view arguments) { return HashBytes(arguments).substr(0, kHashBytes); }

}  // namespace

std::string MakePageToken(absl::string_view arguments, absl::string_view position) {
  return absl::WebSafeBase64Escape(absl::StrCat(ShortHash(arguments), position));
}

absl::StatusOr<std::string> ReadPageToken(absl::string_view arguments, absl::string_view token) {
  if (token.empty()) {
    return "";
  }
  std::string text;
  if (!absl::WebSafeBase64Unescape(token, &text) || text.size() <= kHashBytes ||
      text.substr(0, kHashBytes) != ShortHash(arguments)) {
    return InvalidField("PAGE_TOKEN_INVALID", "page_token", "page_token: was not made for this request",
                        "repeat the request of the first page with the token it returned");
  }
  return text.substr(kHashBytes);
}

absl::StatusOr<int> PageSize(int64_t asked, int fallback, int most) {
  if (asked < 0) {
    return InvalidField("OUT_OF_RANGE", "page_size", absl::StrCat("page_size: ", asked, " is negative"),
                        "leave it out, or give a positive number");
  }
  return asked == 0 ? fallback : static_cast<int>(std::min<int64_t>(asked, most));
}

}  // namespace cherry::coordinator
