// Whether a dataset's files are where and as long as its record says.
//
// Thread-safe.
#ifndef CHERRY_COORDINATOR_API_DATA_CHECK_H_
#define CHERRY_COORDINATOR_API_DATA_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "cherry/v1/resources.pb.h"

namespace cherry::coordinator {

// Looks at directory and lengths, not at contents: the trainer checks those. INVALID_ARGUMENT
// (PATH_LEAVES_ROOT, DATASET_NOT_THERE), DATA_LOSS (DATASET_DAMAGED) naming the file.
absl::Status CheckDatasetFiles(const std::string& data_root, const v1::Dataset& dataset,
                               absl::string_view field);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_DATA_CHECK_H_
