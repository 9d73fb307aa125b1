// Jobs that wait for other jobs: why they wait, and what becomes of them when those have ended.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_AWAITED_H_
#define CHERRY_COORDINATOR_CORE_AWAITED_H_

#include <vector>

#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// One reason for each job that it waits for: "waits for ko-base (RUNNING, step 120/300)". The entry need not
// be part of the state.
std::vector<v1::PendingReason> AwaitedReasons(const State& state, const JobEntry& entry);

// For the jobs that have ended in this decision: where they have succeeded, those that waited for them get
// their checkpoints and, with the last one, a place in the queue; else those end with them, and so on.
void SettleAwaited(State* state, Decision* decision);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_AWAITED_H_
