// Taking in a job: checked, resolved, planned, queued.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_SUBMIT_H_
#define CHERRY_COORDINATOR_CORE_SUBMIT_H_

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// Randomness comes in from outside.
struct NewJobIds {
  std::string uid;          // A UUID.
  std::string name_suffix;  // For generate_name.
};

// Adds the job and returns it; with `validate_only` returns what it would be and changes nothing. Errors name
// the field of the job file. ALREADY_EXISTS (JOB_EXISTS): a live job has the name.
absl::StatusOr<v1::Job> SubmitJob(State* state, Decision* decision, const Caller& caller,
                                  const v1::JobSpec& spec, const NewJobIds& ids, bool validate_only);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_SUBMIT_H_
