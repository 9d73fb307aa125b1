// What workers report about the ranks of an attempt. Only the current epoch counts: everything else is
// answered by StaleEpoch and has no effect.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_RANK_REPORTS_H_
#define CHERRY_COORDINATOR_CORE_RANK_REPORTS_H_

#include <string>

#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// The job whose live attempt `ref` names, when it has an unreaped rank on this incarnation of the worker;
// else null: the attempt is stale there.
JobEntry* FindAttempt(State* state, const v1::AttemptRef& ref, const WorkerEntry& worker);

void SendStale(Decision* decision, const std::string& worker, const v1::AttemptRef& ref);

// RankStarted, Progress, Checkpoint, RankExited, Rendezvous and Note.
void HandleRankReport(State* state, Decision* decision, WorkerEntry* worker,
                      const v1::WorkerMessage& message);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_RANK_REPORTS_H_
