// The jobs of a matrix: one for each combination of its axes' values, after `exclude` and `include`.
//
// Pure functions, thread-safe. Errors name `matrix`, an axis as `matrix.train.seed`, and the value.
#ifndef CHERRY_COORDINATOR_CORE_MATRIX_H_
#define CHERRY_COORDINATOR_CORE_MATRIX_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cherry/v1/job.pb.h"
#include "google/protobuf/struct.pb.h"

namespace cherry::coordinator {

inline constexpr int kMostMatrixJobs = 256;

// By path: {"sgt.selector": "rule", "train.seed": 1}.
using MatrixValues = std::map<std::string, google::protobuf::Value>;

struct MatrixJob {
  v1::JobSpec spec;  // Named, with its values set and without a matrix.
  MatrixValues values;
};

// The paths by which jobs are named and paired: the axes, or the paths of `include` where there are none.
std::set<std::string> AxesOf(const v1::Matrix& matrix);

// "ko-sgt-rule-1": a document's name and values in order of their paths.
std::string MatrixJobName(const std::string& name, const MatrixValues& values);

bool SameValue(const google::protobuf::Value& a, const google::protobuf::Value& b);

// At least one job, in order of the axes' names, then of their values as given; the last axis changes
// fastest. `name` is the document's, which the spec may not have yet (generate_name).
//   REQUIRES: spec.has_matrix()
absl::StatusOr<std::vector<MatrixJob>> ExpandMatrix(const v1::JobSpec& spec, const std::string& name);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_MATRIX_H_
