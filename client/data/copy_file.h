// Copies that are on disk when they return. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_COPY_FILE_H_
#define CHERRY_CLIENT_DATA_COPY_FILE_H_

#include <string>

#include "absl/status/status.h"

namespace cherry::client {

// Writes `to`.tmp, syncs it, renames it over `to`. The caller syncs the directory.
absl::Status CopyFile(const std::string& from, const std::string& to);

// A second name of the same file where the file system can, else a copy. `to` must not exist.
absl::Status LinkOrCopyFile(const std::string& from, const std::string& to);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_COPY_FILE_H_
