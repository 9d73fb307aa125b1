// The worker's Prometheus metrics, served over plain HTTP.
//
// Thread-safe.
#ifndef CHERRY_WORKER_AGENT_METRICS_H_
#define CHERRY_WORKER_AGENT_METRICS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cherry/v1/resources.pb.h"
#include "common/endpoint.h"
#include "worker/agent/supervisor.h"

namespace cherry::worker {

class Metrics final : public RankObserver {
 public:
  // PORT_TAKEN names --metrics-address. Port 0 takes any free one.
  static absl::StatusOr<std::unique_ptr<Metrics>> Create(const Endpoint& address,
                                                         const std::vector<v1::Slot>& slots);
  ~Metrics() override;

  // What it listens on.
  const Endpoint& address() const { return address_; }

  void OnSlot(int slot, absl::string_view job_name) override;
  void OnStep(const RankKey& key, const v1::StartAttempt& attempt, const v1::StepReport& step) override;
  void OnCommitted(const AttemptKey& attempt, absl::Time now) override;
  void OnAttemptGone(const AttemptKey& attempt) override;

  void SetRoots(const std::vector<v1::Root>& roots);
  void SetCertificateExpiry(absl::Time expiry);

  // The page as Prometheus gets it; for tests.
  std::string Page() const;

 private:
  struct State;
  explicit Metrics(std::unique_ptr<State> state, Endpoint address);
  std::unique_ptr<State> state_;
  const Endpoint address_;
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_METRICS_H_
