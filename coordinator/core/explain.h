// Why a job waits, and what would start it sooner.
//
// Pure functions of the state, no thread safety.
#ifndef CHERRY_COORDINATOR_CORE_EXPLAIN_H_
#define CHERRY_COORDINATOR_CORE_EXPLAIN_H_

#include <vector>

#include "cherry/v1/coordinator.pb.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// Reasons of a waiting job, most fundamental first; empty for a job that does not wait. The entry need not be
// part of the state.
std::vector<v1::PendingReason> PendingReasons(const State& state, const JobEntry& entry);

// Everything but recent_events, which the store has.
v1::ExplainJobResponse Explain(const State& state, const JobEntry& entry);

// The job as the API shows it: with its pending reasons and a reason line made of them.
v1::Job JobView(const State& state, const JobEntry& entry);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_EXPLAIN_H_
