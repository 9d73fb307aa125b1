// Taking in a pipeline: all of its jobs in one decision, or none.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_PIPELINE_H_
#define CHERRY_COORDINATOR_CORE_PIPELINE_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "cherry/v1/coordinator.pb.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"
#include "coordinator/core/submit.h"

namespace cherry::coordinator {

// Randomness comes in from outside. How many jobs there are is known only when matrices are expanded.
struct NewPipelineIds {
  std::string uid;                      // A UUID.
  std::function<NewJobIds()> next_job;  // Of one more job.
};

// Adds all jobs of the pipeline and returns them; with `validate_only` returns what they would be and changes
// nothing. Errors begin with the name of the job that they are about, and name the field of its document.
// ALREADY_EXISTS (PIPELINE_EXISTS, JOB_EXISTS): a live one has the name.
absl::StatusOr<v1::SubmitPipelineResponse> SubmitPipeline(State* state, Decision* decision,
                                                          const Caller& caller,
                                                          const v1::SubmitPipelineRequest& request,
                                                          const NewPipelineIds& ids);

// The live pipeline of that resource name, else the one submitted last. NOT_FOUND (PIPELINE_NOT_FOUND).
absl::StatusOr<const v1::PipelineRecord*> FindPipeline(const State& state, const std::string& resource);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_PIPELINE_H_
