#include "coordinator/api/token.h"

#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/status.h"

namespace cherry::coordinator {
namespace {

constexpr size_t kShortestToken = 32;

}  // namespace

absl::StatusOr<std::string> LoadOrCreateToken(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    if (errno != ENOENT) {
      return ErrnoError(errno, path);
    }
    // 43 of 36 characters: more than 200 bits.
    RETURN_IF_ERROR(WriteFileAtomically(path, absl::StrCat(RandomSuffix(43), "\n"), 0600));
    if (stat(path.c_str(), &info) != 0) {
      return ErrnoError(errno, path);
    }
  }
  if ((info.st_mode & 077) != 0) {
    return Error(absl::StatusCode::kFailedPrecondition, "TOKEN_FILE_EXPOSED", "--home",
                 absl::StrCat(path, " can be read or written by others than its owner"),
                 absl::StrCat("remove it, so that a new one is made, or run chmod 600 ", path));
  }
  ASSIGN_OR_RETURN(const std::string content, ReadFile(path, 4096));
  const std::string token(absl::StripAsciiWhitespace(content));
  if (token.size() < kShortestToken) {
    return Error(absl::StatusCode::kFailedPrecondition, "TOKEN_FILE_INVALID", "--home",
                 absl::StrCat(path, " holds fewer than ", kShortestToken, " characters"),
                 "remove it, so that a new one is made");
  }
  return token;
}

bool TokensEqual(absl::string_view a, absl::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |=
        static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b.empty() ? 0 : b[i % b.size()]);
  }
  return difference == 0;
}

}  // namespace cherry::coordinator
