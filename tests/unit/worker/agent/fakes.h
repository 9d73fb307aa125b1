// Stand-ins for processes and for the coordinator, that write down what the supervisor asks of them.
//
// Not thread-safe.
#ifndef CHERRY_TESTS_UNIT_WORKER_AGENT_FAKES_H_
#define CHERRY_TESTS_UNIT_WORKER_AGENT_FAKES_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "worker/agent/supervisor.h"

namespace cherry::worker {

class FakeRankHost final : public RankHost {
 public:
  void Start(const RankKey& key, const v1::StartRank& start) override { started.emplace_back(key, start); }
  void Send(const RankKey& key, const v1::ToTrainer& message) override { sent.emplace_back(key, message); }
  void Kill(const RankKey& key) override { killed.push_back(key); }

  std::vector<std::pair<RankKey, v1::StartRank>> started;
  std::vector<std::pair<RankKey, v1::ToTrainer>> sent;
  std::vector<RankKey> killed;
};

class FakeUplink final : public Uplink {
 public:
  void Report(v1::WorkerMessage message) override { reports.push_back(std::move(message)); }
  void Offer(v1::WorkerMessage message) override { offers.push_back(std::move(message)); }

  // The RankExited messages, in order.
  std::vector<v1::RankExited> Exits() const {
    std::vector<v1::RankExited> exits;
    for (const v1::WorkerMessage& message : reports) {
      if (message.has_rank_exited()) {
        exits.push_back(message.rank_exited());
      }
    }
    return exits;
  }

  std::vector<v1::WorkerMessage> reports;
  std::vector<v1::WorkerMessage> offers;
};

class FakeObserver final : public RankObserver {
 public:
  void OnSlot(int slot, absl::string_view job_name) override { slots[slot] = std::string(job_name); }
  void OnStep(const RankKey&, const v1::StartAttempt&, const v1::StepReport&) override { ++steps; }
  void OnCommitted(const AttemptKey&, absl::Time) override { ++committed; }
  void OnAttemptGone(const AttemptKey&) override { ++gone; }

  std::map<int, std::string> slots;
  int steps = 0;
  int committed = 0;
  int gone = 0;
};

}  // namespace cherry::worker

#endif  // CHERRY_TESTS_UNIT_WORKER_AGENT_FAKES_H_
