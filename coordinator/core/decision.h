// What one decision of the core is given and what it leaves behind.
//
// Plain values, no thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_DECISION_H_
#define CHERRY_COORDINATOR_CORE_DECISION_H_

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cherry/v1/record.pb.h"
#include "cherry/v1/resources.pb.h"
#include "cherry/v1/worker.pb.h"

namespace cherry::coordinator {

// Who asks. Filled in by the edge after it has authenticated the call.
struct Caller {
  std::string identity = "coordinator";
  bool is_operator = false;  // May act on the jobs of others.
};

struct CheckpointKey {
  std::string uid;
  int64_t step = 0;
  int64_t epoch = 0;
};

// Records to write in one batch. Empty where nothing has changed.
struct Changes {
  std::vector<v1::JobRecord> put_jobs;
  std::vector<v1::Checkpoint> put_checkpoints;
  std::vector<CheckpointKey> delete_checkpoints;
  std::vector<v1::WorkerRecord> put_workers;
  std::vector<std::string> delete_workers;
  std::vector<v1::Dataset> put_datasets;
  std::vector<v1::PipelineRecord> put_pipelines;
  std::vector<v1::Model> put_models;
  std::vector<v1::RequestRecord> put_requests;
  std::vector<std::string> delete_requests;
  std::vector<v1::Event> put_events;
  v1::ClusterRecord cluster;  // Set whenever anything else is.

  bool empty() const {
    return put_jobs.empty() && put_checkpoints.empty() && delete_checkpoints.empty() && put_workers.empty() &&
           delete_workers.empty() && put_datasets.empty() && put_pipelines.empty() && put_models.empty() &&
           put_requests.empty() && delete_requests.empty() && put_events.empty();
  }
};

// Actions: what the shell does once the changes are synced.
struct SendToWorker {
  std::string worker;
  v1::CoordinatorMessage message;
};
// The connection speaks for the worker from now on: what is sent to the worker goes there.
struct BindConnection {
  int64_t connection = 0;
  std::string worker;
};
// The connection may say no more: it was refused or another one has taken its place.
struct CloseConnection {
  int64_t connection = 0;
  absl::Status status;
};
// Remove a deleted checkpoint's directory, then call CheckpointRemoved.
struct RemoveCheckpoint {
  CheckpointKey key;
  std::string path;  // Beneath the checkpoint root.
};
// Remove everything in an ended attempt's directory but `keep`, then call EpochCollected.
struct CollectEpoch {
  std::string uid;
  int64_t epoch = 0;
  std::string path;               // Of the epoch, beneath the checkpoint root.
  std::vector<std::string> keep;  // Names in it that were committed.
};
// Wake those who watch the job.
struct JobChanged {
  std::string uid;
};
// Samples of a job's series; soft, unlike the changes.
struct RecordSamples {
  std::string uid;
  std::vector<v1::MetricSample> samples;
};
// A measurement for the metrics endpoint.
struct Measure {
  enum Kind { kTransition, kQueueWait, kCheckpointCommitted, kPreemption, kSlotSeconds };
  Kind kind = kTransition;
  double value = 1.0;
  std::string job_kind;  // kTransition
  std::string to;        // kTransition
  std::string label;     // Its reason, or the cause of slot-seconds.
};
using Action = std::variant<SendToWorker, BindConnection, CloseConnection, RemoveCheckpoint, CollectEpoch,
                            JobChanged, RecordSamples, Measure>;

struct Decision {
  // In.
  absl::Time now;
  std::string actor = "coordinator";
  // Out.
  Changes changes;
  std::vector<Action> actions;
  // The reply is the one kept for this request id, not the one returned.
  std::string stored_reply;

  // Records touched by the decision; Core turns them into `changes` when it ends.
  std::set<std::string> dirty_jobs;
  std::set<std::string> dirty_workers;
  std::set<std::pair<std::string, std::pair<int64_t, int64_t>>> dirty_checkpoints;  // uid, (step, epoch)
  std::vector<std::string> new_jobs;    // Uids of jobs that wait for slots since this decision.
  std::vector<std::string> ended_jobs;  // Uids of jobs that have ended; others may wait for them.
  bool dirty_queue = false;             // Slots or waiting jobs have changed: place again.
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_DECISION_H_
