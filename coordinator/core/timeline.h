// The timeline of jobs and workers, and the one way in which a job or an attempt changes its state.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_TIMELINE_H_
#define CHERRY_COORDINATOR_CORE_TIMELINE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// Why something happens, as the timeline tells it.
struct Why {
  v1::Cause cause = v1::CAUSE_UNSPECIFIED;
  std::string message;
};

// A line about a job without a change of state, e.g. "CheckpointCommitted".
void AddEvent(State* state, Decision* decision, const JobEntry& entry, absl::string_view type,
              const Why& why);

// A line about a worker.
void AddWorkerEvent(State* state, Decision* decision, const WorkerEntry& entry, absl::string_view type,
                    absl::string_view message);

// Applies `event` to the job: its new state, its timeline, its indices. An illegal event changes nothing but
// the timeline ("IllegalTransition") and returns false: a defect, which must not take the service down.
bool ApplyToJob(State* state, Decision* decision, JobEntry* entry, JobEvent event, const Why& why);

// The same for the job's newest attempt; its transitions are part of the job's timeline.
bool ApplyToAttempt(State* state, Decision* decision, JobEntry* entry, AttemptEvent event, const Why& why);

// The record is written when the decision ends, and watchers are woken.
void Touch(Decision* decision, const JobEntry& entry);
void Touch(Decision* decision, const WorkerEntry& entry);
void Touch(Decision* decision, const v1::Checkpoint& checkpoint);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_TIMELINE_H_
