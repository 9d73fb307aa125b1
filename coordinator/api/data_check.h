// What the edge looks at on disk before a request means anything.
//
// Thread-safe.
#ifndef CHERRY_COORDINATOR_API_DATA_CHECK_H_
#define CHERRY_COORDINATOR_API_DATA_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "cherry/v1/resources.pb.h"

namespace cherry::coordinator {

// Looks at directory and lengths, not at contents: the trainer checks those. INVALID_ARGUMENT
// (PATH_LEAVES_ROOT, DATASET_NOT_THERE, a split's name), DATA_LOSS (DATASET_DAMAGED) naming the file.
absl::Status CheckDatasetFiles(const std::string& data_root, const v1::Dataset& dataset,
                               absl::string_view field);

// RESOURCE_EXHAUSTED (DISK_FULL) when the file system of `home` is nearly full: new work is refused while
// what runs can still be recorded.
absl::Status CheckFreeSpace(const std::string& home);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_DATA_CHECK_H_
