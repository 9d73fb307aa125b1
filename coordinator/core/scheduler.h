// Which waiting jobs start now: strictly by priority, then arrival. The first that waits for slots in use
// holds back all behind it, so that it does not starve; one that the registered slots could never hold does
// not. Nor does one that a matrix.max_parallel keeps waiting.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_SCHEDULER_H_
#define CHERRY_COORDINATOR_CORE_SCHEDULER_H_

#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// Starts what can start.
void Schedule(State* state, Decision* decision);

// The same after nothing but this job has come: without looking at all that wait.
void ScheduleNew(State* state, Decision* decision, JobEntry* entry);

// Ends back-offs that are over, and attempts whose job has used up limits.time.
void CheckDeadlines(State* state, Decision* decision);
// When the next of either is due; InfiniteFuture when none is.
absl::Time NextJobDeadline(const State& state);

// As many jobs of its matrix as matrix.max_parallel allows have an attempt.
bool IsAtLimit(const State& state, const JobEntry& entry);

// A checkpoint that the job was to read and that has been deleted or found corrupt; null where there is none.
const v1::Checkpoint* GoneInput(const State& state, const JobEntry& entry);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_SCHEDULER_H_
