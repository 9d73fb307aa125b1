#include "worker/agent/roots.h"

#include <sys/statvfs.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::worker {
namespace {

absl::StatusOr<v1::Root> ReadRoot(const std::string& kind, const std::string& path, const char* flag) {
  constexpr int64_t kMaxBytes = 4096;
  const auto id = ReadFile(absl::StrCat(path, "/", kRootIdFile), kMaxBytes);
  if (!id.ok()) {
    return Error(
        absl::StatusCode::kFailedPrecondition, "ROOT_UNKNOWN", flag,
        absl::StrCat(path, " has no readable ", kRootIdFile),
        absl::StrCat("the coordinator makes it when it starts: give ", flag, " the directory that it uses"));
  }
  struct statvfs space = {};
  if (statvfs(path.c_str(), &space) != 0) {
    return ErrnoError(errno, path);
  }
  v1::Root root;
  root.set_kind(kind);
  root.set_id(std::string(absl::StripAsciiWhitespace(*id)));
  root.set_free_bytes(static_cast<int64_t>(space.f_bavail) * static_cast<int64_t>(space.f_frsize));
  root.set_size_bytes(static_cast<int64_t>(space.f_blocks) * static_cast<int64_t>(space.f_frsize));
  return root;
}

}  // namespace

absl::StatusOr<std::vector<v1::Root>> ReadRoots(const RootPaths& paths) {
  std::vector<v1::Root> roots(2);
  ASSIGN_OR_RETURN(roots[0], ReadRoot("data", paths.data, "--data-root"));
  ASSIGN_OR_RETURN(roots[1], ReadRoot("checkpoints", paths.checkpoints, "--checkpoint-root"));
  return roots;
}

}  // namespace cherry::worker
