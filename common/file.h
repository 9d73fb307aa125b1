// Files that survive a crash, and paths that stay beneath their root.
//
// All functions are thread-safe. Errors name the path; a full disk is kResourceExhausted.
#ifndef CHERRY_COMMON_FILE_H_
#define CHERRY_COMMON_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry {

// At the top of a root that hosts share: its identity, by which a root that is not mounted is told from an
// empty one.
inline constexpr char kRootIdFile[] = ".cherry-root";

// Whole file; refuses more than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes = int64_t{1} << 30);

// Writes `path`.tmp, syncs it, renames it over `path`, syncs the directory.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes, int mode = 0644);

absl::Status SyncDirectory(const std::string& path);

// mkdir -p, syncing each directory it adds an entry to.
absl::Status MakeDirectories(const std::string& path, int mode = 0755);

// Removes a directory and everything beneath it; fine when it is not there. Does not follow links.
absl::Status RemoveTree(const std::string& path);

// Names in a directory, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

bool Exists(const std::string& path);

// Opens `relative` beneath the directory `root` (openat2 with RESOLVE_BENEATH and no symbolic links): "..",
// absolute paths and links out of the root are refused with PATH_LEAVES_ROOT. Returns a descriptor that
// the caller closes. `field` names the setting in the error.
absl::StatusOr<int> OpenBeneath(const std::string& root, const std::string& relative, int flags,
                                absl::string_view field);

// root + "/" + relative, after OpenBeneath has shown that it stays beneath the root. It must exist.
absl::StatusOr<std::string> ResolveBeneath(const std::string& root, const std::string& relative,
                                           absl::string_view field);

}  // namespace cherry

#endif  // CHERRY_COMMON_FILE_H_
