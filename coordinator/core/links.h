// The documents of a pipeline as jobs that name each other: matrices expanded, references by the names of
// single jobs, parents before children.
//
// Pure functions, thread-safe.
#ifndef CHERRY_COORDINATOR_CORE_LINKS_H_
#define CHERRY_COORDINATOR_CORE_LINKS_H_

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cherry/v1/job.pb.h"
#include "coordinator/core/matrix.h"
#include "coordinator/core/submit.h"

namespace cherry::coordinator {

// One job of a pipeline before it is checked.
struct Draft {
  v1::JobSpec spec;  // Without a matrix.
  std::string name;  // Also where the spec has only generate_name.
  NewJobIds ids;
  std::string matrix;  // Name of its document, where that has a matrix.
  MatrixValues values;
  std::set<std::string> axes;
  int max_parallel = 0;
};

inline constexpr int kMostPipelineJobs = 1024;

// One draft for each job, parents before children, else in the order of the documents; `next_ids` is called
// at least once for each. References of documents to each other are rewritten to names of single jobs, so
// that `evaluate.models` may become longer.
//
// INVALID_ARGUMENT: JOB_DUPLICATE (field "name"), PIPELINE_CYCLE (the field that closes it: "from: a -> b ->
// a"; a job that names itself too), MATRIX_AMBIGUOUS (a matrix where one job is meant), MATRIX_INVALID, a job
// of another namespace than `ns`.
absl::StatusOr<std::vector<Draft>> MakeDrafts(
    const std::string& ns, const google::protobuf::RepeatedPtrField<v1::JobSpec>& documents,
    const std::function<NewJobIds()>& next_ids);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_LINKS_H_
