// The trainer's end of the socket pair to its worker.
#ifndef CHERRY_WORKER_TRAINER_CHANNEL_H_
#define CHERRY_WORKER_TRAINER_CHANNEL_H_

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cherry/v1/trainer.pb.h"
#include "worker/parallel/rendezvous.h"

namespace cherry::trainer {

// Larger values win: a request to stop at once is not taken back by a milder one.
enum class StopRequest { kNone = 0, kSave = 1, kNow = 2 };

// Thread-safe. The end of the stream ends the process: without its worker a trainer has no purpose.
class WorkerChannel final : public Rendezvous {
 public:
  // Waits for StartRank as the first frame, answers RankReady and begins to listen. Takes over `fd`.
  static absl::StatusOr<std::unique_ptr<WorkerChannel>> Open(int fd);
  ~WorkerChannel() override;

  const v1::StartRank& start() const { return start_; }

  // When the worker has gone the process is about to end, so there is no error to handle.
  void Send(const v1::FromTrainer& message);
  void SendPhase(v1::PhaseReport::Phase phase, int64_t step);
  void SendNote(const std::string& type, const std::string& text, int64_t step);
  // The last message; after it the end of the stream is expected.
  void SendFinished(const v1::RankFinished& finished);

  // What the worker, or SIGTERM, has asked for so far.
  StopRequest stop() const;

  // Waits until the coordinator has recorded the checkpoint of `step`, however long it is away.
  void AwaitCommitted(int64_t step);

  absl::Status Put(const std::string& key, const std::string& value) override;
  absl::StatusOr<std::string> Get(const std::string& key, absl::Time deadline) override;

 private:
  WorkerChannel(int fd, v1::StartRank start);
  void Listen();
  void Handle(const v1::ToTrainer& message);

  const int fd_;
  const v1::StartRank start_;
  std::atomic<StopRequest> stop_{StopRequest::kNone};
  std::atomic<bool> finished_{false};
  absl::Mutex write_mutex_;  // Held while a frame is written.
  absl::Mutex mutex_;
  std::map<std::string, std::string> answers_;  // By rendezvous key; guarded by mutex_, as is the next.
  std::set<int64_t> committed_;
  std::thread listener_;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_CHANNEL_H_
