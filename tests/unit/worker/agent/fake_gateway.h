// A coordinator's gateway within the test's process: accepts workers, keeps what they say, and says what the
// test tells it to.
//
// Thread-safe.
#ifndef CHERRY_TESTS_UNIT_WORKER_AGENT_FAKE_GATEWAY_H_
#define CHERRY_TESTS_UNIT_WORKER_AGENT_FAKE_GATEWAY_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cherry/v1/worker.pb.h"

namespace cherry::worker {

class FakeGateway {
 public:
  // Listens on loopback; port 0 takes any.
  explicit FakeGateway(const std::string& token, int port = 0);
  ~FakeGateway();

  int port() const;
  // Off: reports get no Ack, as of a coordinator that dies before its sync.
  void SetAcknowledge(bool acknowledge);
  void Send(const v1::CoordinatorMessage& message);
  // Ends all streams and refuses new ones until Open.
  void Close();
  void Open();

  // Waits for at most a minute until the condition holds for all that was received, on all streams, in order.
  using Messages = std::vector<v1::WorkerMessage>;
  bool Await(const std::function<bool(const Messages&)>& condition);
  Messages messages() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cherry::worker

#endif  // CHERRY_TESTS_UNIT_WORKER_AGENT_FAKE_GATEWAY_H_
