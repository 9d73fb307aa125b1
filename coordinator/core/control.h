// Cancel, pause and resume.
//
// No thread safety: one thread steps the core. All are safe to repeat.
#ifndef CHERRY_COORDINATOR_CORE_CONTROL_H_
#define CHERRY_COORDINATOR_CORE_CONTROL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// The live job of that resource name, else the one that ended last. NOT_FOUND (JOB_NOT_FOUND).
absl::StatusOr<JobEntry*> FindByName(State* state, absl::string_view name);

// PERMISSION_DENIED (NOT_OWNER) unless the caller submitted the job or is an operator.
absl::Status CheckMayChange(const Caller& caller, const JobEntry& entry);

// A running job saves a checkpoint first, unless `now`. FAILED_PRECONDITION (JOB_ENDED) once it has succeeded
// or failed; cancelling it again is fine.
absl::Status CancelJob(State* state, Decision* decision, JobEntry* entry, const std::string& reason,
                       bool now);

// Gives up its slots until it is resumed. FAILED_PRECONDITION (JOB_ENDED, JOB_BEING_CANCELLED).
absl::Status PauseJob(State* state, Decision* decision, JobEntry* entry, const std::string& reason);

// FAILED_PRECONDITION (JOB_NOT_PAUSED) unless it is paused or being paused.
absl::Status ResumeJob(State* state, Decision* decision, JobEntry* entry, const std::string& reason);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_CONTROL_H_
