// Sets a field of a spec by its path, as a matrix does.
//
// Pure, thread-safe.
#ifndef CHERRY_COORDINATOR_CORE_SPEC_PATH_H_
#define CHERRY_COORDINATOR_CORE_SPEC_PATH_H_

#include <string>

#include "absl/status/status.h"
#include "cherry/v1/job.pb.h"
#include "google/protobuf/struct.pb.h"

namespace cherry::coordinator {

// Sets `path`, e.g. "train.seed", to `value`. Enum values are their names in lower case, `resources.ranks` a
// number, a duration text such as "12h". INVALID_ARGUMENT names "matrix.PATH": there is no such field, it is
// not a single value, it says who the job is, or the value does not fit it.
absl::Status SetPath(const std::string& path, const google::protobuf::Value& value, v1::JobSpec* spec);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_SPEC_PATH_H_
