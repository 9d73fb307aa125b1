// The one stream to the coordinator: connects, registers, sends what waits, hears directives, and does all of
// it again after every loss.
//
// After Registered comes back, everything numbered that has no Ack is sent again, in order. Between attempts
// it waits for a growing, jittered time. Thread-safe.
#ifndef CHERRY_WORKER_AGENT_STREAM_CLIENT_H_
#define CHERRY_WORKER_AGENT_STREAM_CLIENT_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cherry/v1/worker.pb.h"
#include "common/endpoint.h"
#include "worker/agent/log_store.h"
#include "worker/agent/outbox.h"
#include "worker/agent/supervisor.h"

namespace cherry::worker {

struct StreamConfig {
  Endpoint coordinator;
  std::string token_file;  // Read at each connection without TLS.
  // PEM files for mutual TLS, read at each connection; all three or none.
  std::string tls_cert;
  std::string tls_key;
  std::string tls_ca;
  absl::Duration backoff_base = absl::Milliseconds(200);
  absl::Duration backoff_cap = absl::Seconds(3);
  absl::Duration registration_timeout = absl::Seconds(20);
};

// Called on the client's thread, one at a time; must not block for long.
class StreamEvents {
 public:
  virtual ~StreamEvents() = default;
  virtual void OnRegistered(const v1::Registered& registered) = 0;
  virtual void OnDirective(v1::CoordinatorMessage message) = 0;  // Start, stop, stale, rendezvous, committed.
  virtual void OnDisconnected(const absl::Status& why) = 0;
};

class StreamClient final : public Uplink {
 public:
  using Registration = std::function<absl::StatusOr<v1::Register>()>;

  // TLS_REQUIRED when the coordinator is not on loopback and there is no TLS. `registration` is asked at each
  // connection. The pointers outlive the client.
  static absl::StatusOr<std::unique_ptr<StreamClient>> Create(StreamConfig config, LogStore* logs,
                                                              StreamEvents* events,
                                                              Registration registration);
  ~StreamClient() override;

  void Start();
  // Ends the stream and the thread; nothing is called any more after it. At the latest the destructor does
  // it.
  void Stop();
  void Report(v1::WorkerMessage message) override;
  void Offer(v1::WorkerMessage message) override;
  // There are new log bytes.
  void Wake();

  // Waits until the coordinator has all that must arrive and all closed logs, or `timeout` is over; true
  // when it has.
  bool Flush(absl::Duration timeout);

 private:
  struct Session;  // One stream; knows gRPC.
  StreamClient(StreamConfig config, LogStore* logs, StreamEvents* events, Registration registration);

  void Run();
  absl::Status RunSession();
  void ReadAll(Session* session);
  void WriteAll(Session* session);
  bool WriteNext(Session* session);  // False when nothing waits or the stream is over.
  void Handle(v1::CoordinatorMessage message);
  void WaitBeforeRetry();

  const StreamConfig config_;
  LogStore* const logs_;
  StreamEvents* const events_;
  const Registration registration_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Protected by mutex_:
  Outbox outbox_;
  Session* session_ = nullptr;  // The current one.
  bool registered_ = false;     // On the current session.
  bool stopping_ = false;
  absl::Duration backoff_;
  uint64_t wakes_ = 0;  // Counts what may have made something to send.
  // Of the client's thread alone:
  std::minstd_rand random_;
  std::thread thread_;
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_STREAM_CLIENT_H_
