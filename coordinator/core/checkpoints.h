// Checkpoints: commits, the best one, retention, corruption, and what a new attempt starts from.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_CHECKPOINTS_H_
#define CHERRY_COORDINATOR_CORE_CHECKPOINTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// `NAMESPACE/JOB-UID/epoch-N`, beneath the checkpoint root.
std::string EpochDirectory(const JobEntry& entry, int64_t epoch);

// Records a published checkpoint of the live attempt; again with the same step is fine and changes nothing.
// Deletes what retention lets go: tombstones now, directories after the sync.
//   REQUIRES: the report is of the job's current epoch and its attempt has not ended.
//   INVALID_ARGUMENT: its path is not in the epoch's directory.
absl::Status CommitCheckpoint(State* state, Decision* decision, JobEntry* entry,
                              const v1::CheckpointReport& report);

// Whether it is there to be read.
bool IsCommitted(const State& state, const v1::Checkpoint& checkpoint);

// The newest epoch's checkpoint of a step that is neither deleted nor corrupt; null when there is none.
v1::Checkpoint* FindCommitted(JobEntry* entry, int64_t step);

// Marks a checkpoint CORRUPT: never loaded again, kept for inspection. Repeats are fine.
void MarkCorrupt(State* state, Decision* decision, JobEntry* entry, v1::Checkpoint* checkpoint,
                 absl::string_view detail);

// INVALID_ARGUMENT (CHECKPOINT_INVALID) unless it is empty, `best`, `latest` or a step.
absl::Status CheckSelector(absl::string_view which, absl::string_view field);

// `best`, `latest` or a step. NOT_FOUND with the reason when there is none.
absl::StatusOr<v1::Checkpoint> SelectCheckpoint(const JobEntry& entry, absl::string_view which,
                                                absl::string_view field);

// Committed ones, newest first.
std::vector<v1::Checkpoint> CommittedNewestFirst(const JobEntry& entry);

// The last checkpoint of the whole job is committed.
bool HasFinal(const JobEntry& entry);

// Applies retention.
void Retain(State* state, Decision* decision, JobEntry* entry);

// A job that has ended no longer protects the checkpoints it read or waited for. Nothing for a live job.
void ReleaseSource(State* state, Decision* decision, const JobEntry& entry);

// An attempt has ended: what it published but never committed is to be removed.
void CollectOrphans(Decision* decision, JobEntry* entry, int64_t epoch);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_CHECKPOINTS_H_
