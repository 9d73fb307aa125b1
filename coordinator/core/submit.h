// Taking in a job: checked, resolved, planned, queued.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_SUBMIT_H_
#define CHERRY_COORDINATOR_CORE_SUBMIT_H_

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/sources.h"
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

// The steps of it, for several jobs in one decision. First the job as it would be, with its uid: every check,
// and nothing changed. References are looked up among `drafts` before the state.
absl::StatusOr<JobEntry> PrepareJob(const State& state, const DraftJobs& drafts, absl::Time now,
                                    const Caller& caller, const v1::JobSpec& spec, const NewJobIds& ids);
// What a dry run shows of it: without uid, with the reasons why it would wait.
v1::Job WouldBe(const State& state, JobEntry entry);
// Adds it to the cluster and returns it.
v1::Job EnterJob(State* state, Decision* decision, const Caller& caller, JobEntry entry);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_SUBMIT_H_
