// The cluster as plain values: all that the core decides from.
//
// No thread safety: one thread steps the core. Records are what the store keeps; the rest is soft and is
// rebuilt or relearnt after a restart.
#ifndef CHERRY_COORDINATOR_CORE_STATE_H_
#define CHERRY_COORDINATOR_CORE_STATE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "cherry/v1/record.pb.h"
#include "cherry/v1/resources.pb.h"
#include "coordinator/core/decision.h"

namespace cherry::coordinator {

// Constants of one process.
struct Config {
  absl::Duration lease = absl::Seconds(10);        // Silence after which a worker is LOST.
  absl::Duration heartbeat = absl::Seconds(2);     // What workers are told.
  absl::Duration forget_lost = absl::Hours(24);    // Silence after which a LOST worker is no longer listed.
  absl::Duration backoff_base = absl::Seconds(1);  // First back-off; doubles each time.
  absl::Duration backoff_cap = absl::Seconds(60);
  absl::Duration stop_grace = absl::Seconds(60);  // For a stop with a checkpoint.
  absl::Duration rendezvous_timeout = absl::Seconds(60);
  absl::Duration request_ttl = absl::Hours(24);    // How long a request id is remembered.
  absl::Duration failure_memory = absl::Hours(1);  // How long a host's failures count against it.
  int avoided_after = 3;                           // Failures after which other hosts are preferred.
  std::string data_root_id;                        // What workers must see; empty accepts any.
  std::string checkpoint_root_id;
};

struct RendezvousWaiter {
  std::string worker;
  int32_t rank = 0;
};

struct JobEntry {
  v1::JobRecord record;
  std::map<std::pair<int64_t, int64_t>, v1::Checkpoint> checkpoints;  // By (step, epoch), deleted ones too.

  // Soft.
  std::string shape;  // PlacementShape of its resolved spec.
  absl::Time progress_time = absl::InfinitePast();
  std::map<std::string, std::string> rendezvous;  // Of the current epoch.
  std::map<std::string, std::vector<RendezvousWaiter>> waiters;

  v1::Job& job() { return *record.mutable_job(); }
  const v1::Job& job() const { return record.job(); }
  const std::string& uid() const { return record.job().uid(); }
  // The newest attempt while it has not ended, else null.
  v1::Attempt* live_attempt() {
    auto* attempts = record.mutable_job()->mutable_attempts();
    if (attempts->empty() || attempts->rbegin()->state() == v1::Attempt::ENDED) {
      return nullptr;
    }
    return &*attempts->rbegin();
  }
  const v1::Attempt* live_attempt() const { return const_cast<JobEntry*>(this)->live_attempt(); }
};

struct Occupant {
  std::string uid;
  int64_t epoch = 0;
};

struct WorkerEntry {
  v1::WorkerRecord record;

  // Soft.
  int64_t connection = 0;  // 0: none. Of the stream it registered on.
  absl::Time last_seen = absl::InfinitePast();
  std::map<int32_t, Occupant> occupants;             // By slot index.
  std::set<std::pair<std::string, int64_t>> strays;  // Attempts it still runs but should not: uid, epoch.

  const std::string& name() const { return record.worker().name(); }
  const v1::Worker& worker() const { return record.worker(); }
};

// Order of waiting jobs: priority, then arrival.
struct QueueKey {
  int32_t priority = 0;
  int64_t arrival = 0;
  std::string uid;
  bool operator<(const QueueKey& other) const {
    return priority != other.priority ? priority > other.priority : arrival < other.arrival;
  }
};

struct RequestEntry {
  std::string content_hash;
  absl::Time time;
};

struct State {
  Config config;
  v1::ClusterRecord cluster;
  std::unordered_map<std::string, JobEntry> jobs;  // By uid, imported models too. References stay valid.
  std::map<int64_t, std::string> by_arrival;       // Arrival to uid.
  std::unordered_map<std::string, std::string> by_name;  // Resource name to the newest uid.
  std::map<std::string, WorkerEntry> workers;
  std::map<std::string, v1::Dataset> datasets;
  std::map<std::string, v1::Model> models;                        // By resource name, the newest of each.
  std::unordered_map<std::string, v1::Dataset> model_data;        // By a model's uid: its tokenizer.
  std::unordered_map<std::string, v1::PipelineRecord> pipelines;  // By uid.
  std::unordered_map<std::string, std::string> pipeline_by_name;  // Resource name to the newest uid.
  std::unordered_map<std::string, RequestEntry> requests;
  std::deque<std::pair<absl::Time, std::string>> request_times;

  // Indices over jobs, kept by Reindex.
  std::set<QueueKey> queue;       // PENDING, with all inputs.
  std::string head;               // First of them that waits for slots in use; a uid.
  std::set<std::string> active;   // With a live attempt.
  std::set<std::string> backoff;  // BACKOFF.
  std::unordered_map<std::string, std::set<std::string>>
      children;  // Source uid to live jobs that start from it, or will.
  std::unordered_map<std::string, std::set<std::string>>
      limited;  // LimitGroup to its jobs with a live attempt.
};

// Jobs that share a matrix.max_parallel; empty for those without one.
std::string LimitGroup(const JobEntry& entry);

QueueKey OrderOf(const JobEntry& entry);

// Brings the indices up to date after a change of the job's state or attempts.
void Reindex(State* state, const JobEntry& entry);

// Null when there is none.
JobEntry* FindJob(State* state, const std::string& uid);
WorkerEntry* FindWorker(State* state, const std::string& name);

google::protobuf::Timestamp ToProto(absl::Time time);
google::protobuf::Duration ToProto(absl::Duration duration);
absl::Time FromProto(const google::protobuf::Timestamp& time);
absl::Duration FromProto(const google::protobuf::Duration& duration);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_STATE_H_
