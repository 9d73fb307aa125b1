// The end of an attempt: its cause, what it is charged, and what becomes of the job.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_ATTEMPT_END_H_
#define CHERRY_COORDINATOR_CORE_ATTEMPT_END_H_

#include <string>

#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// Ends the live attempt when none of its ranks is left, and decides the job's next state.
void EndIfReaped(State* state, Decision* decision, JobEntry* entry);

// The rank only noticed that another one had gone.
bool IsSecondary(const v1::Failure& failure);

// Spends one of limits.retries.
bool IsCharged(v1::Cause cause);

// "rank 1 on w0: killed by signal 9"
std::string DescribeFailure(const v1::Failure& failure);

// Counts the failure against its host, when the cause may lie there.
void BlameHost(State* state, Decision* decision, const v1::Failure& failure);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_ATTEMPT_END_H_
