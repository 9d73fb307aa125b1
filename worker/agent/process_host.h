// Runs the ranks' processes: starts them, carries their messages and logs, kills and reaps them.
//
// One permanent thread does all of it, so that PR_SET_PDEATHSIG ties every rank to the worker's life. A
// rank's end is told only when no process of it is left: not in its process group, and none that carries its
// mark. The worker becomes a subreaper, so orphans of a rank come to it. Thread-safe.
#ifndef CHERRY_WORKER_AGENT_PROCESS_HOST_H_
#define CHERRY_WORKER_AGENT_PROCESS_HOST_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/agent/log_store.h"
#include "worker/agent/oom_evidence.h"
#include "worker/agent/rank.h"
#include "worker/agent/strays.h"
#include "worker/agent/supervisor.h"

namespace cherry::worker {

// Called on the host's thread; must not block.
class RankEvents {
 public:
  virtual ~RankEvents() = default;
  virtual void OnSpawned(const RankKey& key, int64_t pid) = 0;
  virtual void OnMessage(const RankKey& key, v1::FromTrainer message) = 0;
  virtual void OnProtocolError(const RankKey& key, std::string what) = 0;
  virtual void OnExited(const RankKey& key, RankExit exit) = 0;
};

struct ProcessHostConfig {
  std::string trainer;  // Absolute path of the program.
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // The worker's; the ranks get a short list of it.
  std::string incarnation;               // Part of the ranks' marks.
};

class ProcessHost final : public RankHost {
 public:
  // The pointers outlive the host.
  static absl::StatusOr<std::unique_ptr<ProcessHost>> Create(ProcessHostConfig config, LogStore* logs,
                                                             RankRecords* records, RankEvents* events);
  // Kills and reaps what still runs.
  ~ProcessHost() override;

  void Start(const RankKey& key, const v1::StartRank& start) override;
  void Send(const RankKey& key, const v1::ToTrainer& message) override;
  void Kill(const RankKey& key) override;

 private:
  struct Process;
  ProcessHost(ProcessHostConfig config, LogStore* logs, RankRecords* records, RankEvents* events,
              int wake_fd);

  void Post(std::function<void()> command);
  void Wake();
  void Loop();
  bool RunCommands();  // False once stopping.
  void WaitForSomething();
  void DoStart(const RankKey& key, const v1::StartRank& start);
  void DoSend(const RankKey& key, const v1::ToTrainer& message);
  void DoKill(const RankKey& key);
  void Step(Process* process);
  void ReadMessages(Process* process);
  void FlushMessages(Process* process);
  void ReadOutput(Process* process);
  void ReapLeader(Process* process);
  bool SweepGroup(Process* process);  // True when no process of the rank is left.
  void Finish(Process* process);

  const ProcessHostConfig config_;
  LogStore* const logs_;
  RankRecords* const records_;
  RankEvents* const events_;
  const int wake_fd_;  // An eventfd.
  // Of the host's thread alone:
  std::map<RankKey, std::unique_ptr<Process>> processes_;
  OomEvidence oom_;
  std::mutex mutex_;
  // Protected by mutex_:
  std::vector<std::function<void()>> commands_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_PROCESS_HOST_H_
