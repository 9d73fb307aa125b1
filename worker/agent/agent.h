// The worker: puts the supervisor, the processes, the stream and the metrics together on one event loop.
//
// The supervisor lives on the thread that calls Run; everything else reaches it through a mailbox.
#ifndef CHERRY_WORKER_AGENT_AGENT_H_
#define CHERRY_WORKER_AGENT_AGENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/clock.h"
#include "worker/agent/log_store.h"
#include "worker/agent/mailbox.h"
#include "worker/agent/metrics.h"
#include "worker/agent/options.h"
#include "worker/agent/process_host.h"
#include "worker/agent/roots.h"
#include "worker/agent/strays.h"
#include "worker/agent/stream_client.h"
#include "worker/agent/supervisor.h"

namespace cherry::worker {

class Agent final : private RankEvents, private StreamEvents {
 public:
  // Kills what a predecessor of the same name and home left behind. WORKER_RUNNING when one still runs.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(const Options& options);
  ~Agent() override;

  // Works until RequestShutdown and until every rank is reaped and reported. Once.
  void Run();

  // The first time: ranks save a checkpoint and stop, within the grace. SIGINT after that kills them: a
  // person insists. SIGTERM after that changes nothing: cluster schedulers repeat it. Thread-safe.
  void RequestShutdown(int signal);

 private:
  explicit Agent(const Options& options);
  absl::Status Prepare();
  absl::Status LockDirectory();
  SupervisorConfig MakeSupervisorConfig() const;
  absl::StatusOr<v1::Register> MakeRegistration();
  std::vector<v1::AttemptRef> AskForLiveAttempts();
  void SendHeartbeat();
  void Greet();

  // RankEvents, on the process host's thread.
  void OnSpawned(const RankKey& key, int64_t pid) override;
  void OnMessage(const RankKey& key, v1::FromTrainer message) override;
  void OnProtocolError(const RankKey& key, std::string what) override;
  void OnExited(const RankKey& key, RankExit exit) override;
  // StreamEvents, on the stream's thread.
  void OnRegistered(const v1::Registered& registered) override;
  void OnDirective(v1::CoordinatorMessage message) override;
  void OnDisconnected(const absl::Status& why) override;
  void Obey(const v1::CoordinatorMessage& message);

  const Options options_;
  const std::string directory_;  // HOME/worker-NAME
  const std::string incarnation_;
  SteadyClock clock_;
  Mailbox mailbox_;
  int lock_fd_ = -1;
  std::vector<v1::Slot> slots_;
  int most_threads_ = 0;
  // In the order in which they are made; the last goes first.
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<RankRecords> records_;
  std::unique_ptr<LogStore> logs_;
  std::unique_ptr<StreamClient> stream_;
  std::unique_ptr<ProcessHost> host_;
  std::unique_ptr<Supervisor> supervisor_;
  // Of the event loop alone:
  bool registered_ = false;
  bool greeted_ = false;
  bool shutting_down_ = false;
  std::string last_complaint_;
  absl::Duration heartbeat_interval_ = absl::InfiniteDuration();
  absl::Time next_heartbeat_ = absl::InfiniteFuture();
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_AGENT_H_
