// Decides what happens to the attempts and ranks of this host. It does nothing itself: processes are behind
// RankHost, the coordinator behind Uplink, so tests step it by hand.
//
// Every event comes with the time it happened at. Not thread-safe: one thread steps it.
#ifndef CHERRY_WORKER_AGENT_SUPERVISOR_H_
#define CHERRY_WORKER_AGENT_SUPERVISOR_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cherry/v1/trainer.pb.h"
#include "cherry/v1/worker.pb.h"
#include "worker/agent/exit_cause.h"
#include "worker/agent/rank.h"
#include "worker/agent/step_deadline.h"

namespace cherry::worker {

// Processes. No method blocks; what happens comes back through the On... methods of the supervisor. A key
// is started once; every started key ends with exactly one OnExited.
class RankHost {
 public:
  virtual ~RankHost() = default;
  virtual void Start(const RankKey& key, const v1::StartRank& start) = 0;
  virtual void Send(const RankKey& key, const v1::ToTrainer& message) = 0;
  // SIGKILL to all of the rank's processes.
  virtual void Kill(const RankKey& key) = 0;
};

// The way to the coordinator. No method blocks.
class Uplink {
 public:
  virtual ~Uplink() = default;
  // Must arrive, in order.
  virtual void Report(v1::WorkerMessage message) = 0;
  // May be lost while the coordinator is away.
  virtual void Offer(v1::WorkerMessage message) = 0;
};

// Who shows what happens (metrics).
class RankObserver {
 public:
  virtual ~RankObserver() = default;
  virtual void OnSlot(int slot, absl::string_view job_name) = 0;  // "" when it becomes free.
  virtual void OnStep(const RankKey& key, const v1::StartAttempt& attempt, const v1::StepReport& step) = 0;
  virtual void OnCommitted(const AttemptKey& attempt, absl::Time now) = 0;
  virtual void OnAttemptGone(const AttemptKey& attempt) = 0;
};

struct SupervisorConfig {
  std::string worker_name;
  std::string data_root;        // Absolute.
  std::string checkpoint_root;  // Absolute.
  std::string address;          // Collective interface.
  std::string code_version;
  std::vector<v1::Slot> slots;
  int most_threads = std::numeric_limits<int>::max();  // Of a rank; else as many as its slot has cores.
  DeadlineLimits limits;
  absl::Duration grace = absl::Seconds(25);  // For a checkpoint on shutdown.
  absl::Duration offline_cap = absl::Hours(1);
  absl::Duration progress_interval = absl::Milliseconds(250);
  // State letter of a process as in /proc/PID/stat ('T' stopped, 'D' uninterruptible), '?' if unknown: tells
  // the rank that hangs from those that wait for it.
  std::function<char(int64_t pid)> process_state = [](int64_t) { return '?'; };
};

class Supervisor {
 public:
  // The pointers outlive the supervisor.
  Supervisor(SupervisorConfig config, RankHost* host, Uplink* uplink, RankObserver* observer);

  // From the coordinator. All are safe to repeat.
  void OnStart(const v1::StartAttempt& start, absl::Time now);
  void OnStop(const v1::StopAttempt& stop, absl::Time now);
  void OnStale(const v1::AttemptRef& attempt, absl::Time now);
  void OnRendezvousValue(const v1::RendezvousValue& value);
  void OnCommitted(const v1::CheckpointCommitted& committed, absl::Time now);
  // Registered: what may have been lost is offered again.
  void OnConnected(absl::Time now);
  void OnDisconnected(absl::Time now);

  // From the ranks' processes.
  void OnSpawned(const RankKey& key, int64_t pid, absl::Time now);
  void OnMessage(const RankKey& key, const v1::FromTrainer& message, absl::Time now);
  // The rank sent what is not a message.
  void OnProtocolError(const RankKey& key, absl::string_view what, absl::Time now);
  void OnExited(const RankKey& key, const RankExit& exit, absl::Time now);

  // SIGTERM: every rank stops with a checkpoint; after the grace they are killed. A second call kills.
  void Shutdown(absl::Time now);

  // Kills what has been silent for too long and passes on progress. Returns when to call it next.
  absl::Time Tick(absl::Time now);

  // With at least one rank whose processes are not reaped.
  std::vector<v1::AttemptRef> LiveAttempts() const;
  bool Idle() const { return attempts_.empty(); }

 private:
  struct Rank {
    v1::RankPlacement placement;
    int64_t pid = 0;
    bool started = false;  // Handed to the host. Otherwise it waits for its slot.
    v1::PhaseReport::Phase phase = v1::PhaseReport::PHASE_UNSPECIFIED;
    absl::Time heard;  // Last sign of life.
    int64_t last_step = 0;
    StepDeadline deadline;
    std::optional<v1::RankFinished> finished;
    EndReason asked = EndReason::kNone;
    EndReason killed = EndReason::kNone;
    std::string kill_detail;

    explicit Rank(const DeadlineLimits& limits) : deadline(limits) {}
  };

  struct Attempt {
    v1::StartAttempt start;
    std::map<int, Rank> ranks;  // Those not yet reaped.
    absl::Time kill_at = absl::InfiniteFuture();
    EndReason kill_reason = EndReason::kNone;
    std::string kill_detail;
    // Kept to be offered again after a reconnect: the coordinator keeps them in memory only.
    std::map<std::string, std::string> puts;
    std::set<std::pair<int, std::string>> gets;
    std::optional<v1::ProgressReport> progress;  // Not yet passed on.
    absl::Time progress_sent = absl::InfinitePast();
  };

  const v1::Slot* FindSlot(int index) const;
  void StartRank(Attempt* attempt, Rank* rank, absl::Time now);
  // Starts the ranks whose slots have become free.
  void StartWaiting(absl::Time now);
  bool SlotBusy(int slot) const;
  void AskToStop(Attempt* attempt, EndReason reason);
  void KillAttempt(Attempt* attempt, EndReason reason, absl::string_view detail, absl::Time now);
  void KillRank(const AttemptKey& key, Rank* rank, EndReason reason, absl::string_view detail);
  void ReportExit(const AttemptKey& key, int rank, int64_t last_step, v1::Failure failure,
                  int64_t log_bytes = 0, const std::optional<v1::RankFinished>& finished = std::nullopt);
  void DropIfEmpty(const AttemptKey& key);

  void OnStep(Attempt* attempt, Rank* rank, const v1::StepReport& step, absl::Time now);
  void OnPut(Attempt* attempt, const v1::RendezvousPut& put);
  void OnGet(Attempt* attempt, int rank, const v1::RendezvousGet& get);
  void FlushProgress(Attempt* attempt, absl::Time now);
  // When the rank counts as hung, judged by itself.
  absl::Time OwnDeadline(const Attempt& attempt, const Rank& rank) const;
  // The same, given that it may wait for a rank in a longer phase.
  absl::Time HangDeadline(const Attempt& attempt, const Rank& rank) const;
  void KillHung(const AttemptKey& key, Attempt* attempt, absl::Time now);
  std::string HangDetail(const Rank& rank, absl::Time now) const;

  Attempt* Find(const AttemptKey& key);
  Rank* Find(const RankKey& key, Attempt** attempt);

  const SupervisorConfig config_;
  RankHost* const host_;
  Uplink* const uplink_;
  RankObserver* const observer_;
  std::map<AttemptKey, Attempt> attempts_;
  std::map<std::string, int64_t> newest_epoch_;  // By job uid: an epoch is started once.
  bool shutting_down_ = false;
  absl::Time offline_since_ = absl::InfiniteFuture();
  absl::Time connected_at_ = absl::InfinitePast();
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_SUPERVISOR_H_
