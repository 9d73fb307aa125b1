// The life of one attempt: started on a gang, reported on by workers, stopped, reaped, and what follows for
// the job.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_ATTEMPTS_H_
#define CHERRY_COORDINATOR_CORE_ATTEMPTS_H_

#include <string>

#include "coordinator/core/decision.h"
#include "coordinator/core/placement.h"
#include "coordinator/core/state.h"
#include "coordinator/core/timeline.h"

namespace cherry::coordinator {

// A new epoch on the gang's slots; directives go to its workers.
//   REQUIRES: the job is PENDING and has no live attempt.
void StartAttempt(State* state, Decision* decision, JobEntry* entry, const Gang& gang);

// The directive for the ranks on one worker.
v1::CoordinatorMessage StartDirective(const State& state, const JobEntry& entry, const std::string& worker);

// Asks every rank that still runs to stop. A stop without a checkpoint overrides one with it, never the
// other way round; the first reason stays.
void StopAttempt(State* state, Decision* decision, JobEntry* entry, v1::Attempt::StopReason reason,
                 bool checkpoint, const Why& why);

// Sends the stop of a STOPPING attempt again to one worker.
void ResendStop(const State& state, Decision* decision, const JobEntry& entry, const std::string& worker);

// Reports of workers. All are safe to repeat.
//   REQUIRES: the attempt is live and of the current epoch, and the rank is on this worker.
void OnRankStarted(Decision* decision, JobEntry* entry, v1::RankPlacement* rank);
void OnProgress(State* state, Decision* decision, JobEntry* entry, const v1::ProgressReport& report);
void OnRankExited(State* state, Decision* decision, JobEntry* entry, v1::RankPlacement* rank,
                  const v1::RankExited& report);

// The rank can no longer be reported on: its worker is lost or has restarted.
void LoseRank(State* state, Decision* decision, JobEntry* entry, v1::RankPlacement* rank,
              const std::string& message);

// Run time of the job so far, over all attempts.
absl::Duration RunTime(const JobEntry& entry, absl::Time now);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_ATTEMPTS_H_
