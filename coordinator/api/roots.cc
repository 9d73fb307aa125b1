#include "coordinator/api/roots.h"

#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/status.h"

namespace cherry::coordinator {

absl::StatusOr<std::string> LoadOrCreateRootId(const std::string& root) {
  RETURN_IF_ERROR(MakeDirectories(root));
  const std::string path = absl::StrCat(root, "/", kRootIdFile);
  if (!Exists(path)) {
    RETURN_IF_ERROR(WriteFileAtomically(path, absl::StrCat(NewUuid(), "\n")));
  }
  ASSIGN_OR_RETURN(const std::string content, ReadFile(path, 4096));
  const std::string id(absl::StripAsciiWhitespace(content));
  if (id.empty()) {
    return Error(absl::StatusCode::kFailedPrecondition, "ROOT_INVALID", "", absl::StrCat(path, " is empty"),
                 "remove it, so that a new one is made");
  }
  return id;
}

absl::Status RemoveBeneath(const std::string& root, const std::string& relative) {
  if (!Exists(absl::StrCat(root, "/", relative))) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string path, ResolveBeneath(root, relative, "path"));
  return RemoveTree(path);
}

}  // namespace cherry::coordinator
