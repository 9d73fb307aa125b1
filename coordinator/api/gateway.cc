#include "coordinator/api/gateway.h"

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cherry/v1/worker.grpc.pb.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/api/admission.h"

namespace cherry::coordinator {
namespace {

// Messages read but not yet decided: beyond them the worker has to wait, by flow control.
constexpr int kMostInFlight = 256;
// Messages decided but not yet taken by a worker that does not read: beyond them it is disconnected.
constexpr size_t kMostQueued = 20000;

class WorkerStream final : public grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>,
                           public WorkerLink,
                           public std::enable_shared_from_this<WorkerStream> {
 public:
  WorkerStream(const Services& services, absl::StatusOr<Caller> caller)
      : services_(services), caller_(std::move(caller)) {}

  static WorkerStream* Launch(const std::shared_ptr<WorkerStream>& stream) {
    const absl::Status admitted = stream->caller_.status();
    stream->self_ = stream;
    stream->connection_ = stream->services_.links->Add(stream);
    if (admitted.ok()) {
      stream->StartRead(&stream->in_);
    } else {
      stream->Close(admitted);
    }
    return stream.get();
  }

  void Send(const v1::CoordinatorMessage& message) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (end_.has_value()) {
      return;
    }
    // Acks cover all before them: the newest is enough.
    if (message.has_ack() && queue_.size() > 1 && queue_.back().has_ack()) {
      queue_.back() = message;
      return;
    }
    queue_.push_back(message);
    if (queue_.size() > kMostQueued) {
      CloseLocked(Error(absl::StatusCode::kResourceExhausted, "WORKER_TOO_SLOW", "",
                        "the worker does not read what it is sent", "let it connect again"));
    } else if (queue_.size() == 1) {
      StartWrite(&queue_.front());
    }
  }

  void Close(const absl::Status& status) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    CloseLocked(status);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Close(absl::OkStatus());
      return;
    }
    v1::WorkerMessage message;
    message.Swap(&in_);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (end_.has_value()) {
        return;
      }
      ++in_flight_;
    }
    Handle(std::move(message));
    // Only now: what is read next must be queued after this one.
    const std::lock_guard<std::mutex> lock(mutex_);
    if (in_flight_ >= kMostInFlight) {
      paused_ = true;
    } else if (!end_.has_value()) {
      StartRead(&in_);
    }
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.pop_front();
    if (!ok) {
      CloseLocked(absl::CancelledError("the worker has gone"));
    }
    if (end_.has_value()) {
      queue_.clear();
      FinishLocked();
    } else if (!queue_.empty()) {
      StartWrite(&queue_.front());
    }
  }

  void OnCancel() override { Close(absl::CancelledError("the worker has gone")); }

  void OnDone() override {
    services_.links->Remove(connection_);
    if (!worker_.empty()) {
      services_.executor->Post(
          [connection = connection_, worker = worker_](Core* core, Decision*) -> Executor::Release {
            core->Disconnect(connection, worker);
            return [] {};
          });
    }
    const std::shared_ptr<WorkerStream> last = std::move(self_);
  }

 private:
  void CloseLocked(const absl::Status& status) {
    if (!end_.has_value()) {
      end_ = status;
    }
    if (queue_.empty()) {
      FinishLocked();
    }
  }

  // REQUIRES: no write is under way.
  void FinishLocked() {
    if (!finished_) {
      finished_ = true;
      Finish(ToGrpc(*end_));
    }
  }

  // A message has been decided: there is room for another one.
  void Done() {
    const std::lock_guard<std::mutex> lock(mutex_);
    --in_flight_;
    if (paused_ && !end_.has_value()) {
      paused_ = false;
      StartRead(&in_);
    }
  }

  void Handle(v1::WorkerMessage message) {
    if (message.has_register_() && worker_.empty()) {
      Register(std::move(message));
    } else if (message.has_register_()) {
      Close(Error(absl::StatusCode::kFailedPrecondition, "ALREADY_REGISTERED", "",
                  "the stream has registered already", "register once on each stream"));
    } else if (worker_.empty()) {
      Close(Error(absl::StatusCode::kFailedPrecondition, "NOT_REGISTERED", "",
                  "the first message must be Register", "register first"));
    } else if (message.has_log()) {
      HandleLog(std::move(message));
    } else {
      services_.executor->Post([self = shared_from_this(), message = std::move(message)](
                                   Core* core, Decision* decision) -> Executor::Release {
        core->HandleWorkerMessage(decision, self->connection_, self->worker_, message);
        return [self] { self->Done(); };
      });
    }
  }

  void Register(v1::WorkerMessage message) {
    if (services_.token.empty() && message.register_().name() != caller_->identity) {
      Close(Error(absl::StatusCode::kPermissionDenied, "WORKER_NAME_FOREIGN", "name",
                  absl::StrCat("a certificate of ", caller_->identity, " may not register the worker ",
                               message.register_().name().substr(0, 64)),
                  "start the worker with --name of its certificate's CN"));
      return;
    }
    worker_ = message.register_().name();
    LogInfo(absl::StrCat("worker ", worker_, " registers"));
    services_.executor->Post([self = shared_from_this(), message = std::move(message)](
                                 Core* core, Decision* decision) -> Executor::Release {
      const absl::Status status = core->RegisterWorker(decision, self->connection_, message.register_());
      return [self, status] {
        if (!status.ok()) {
          self->Close(status);
        }
        self->Done();
      };
    });
  }

  // The core says whose log it is; the file is written on the writer's thread.
  void HandleLog(v1::WorkerMessage message) {
    services_.executor->Post([self = shared_from_this(), message = std::move(message)](
                                 Core* core, Decision*) -> Executor::Release {
      const std::optional<LogName> log = self->NameOf(*core, message.log());
      return [self, log, message] {
        if (!log.has_value()) {
          self->AnswerLog(message.log(), message.log().offset());  // Nothing is taken: the worker drops it.
          self->Done();
          return;
        }
        self->services_.log_writer->Post([self, log, message] {
          self->Append(*log, message.log());
          self->Done();
        });
      };
    });
  }

  // Only the logs of ranks that were placed on this worker.
  std::optional<LogName> NameOf(const Core& core, const v1::LogChunk& chunk) const {
    const auto job = core.state().jobs.find(chunk.attempt().job_uid());
    if (job == core.state().jobs.end()) {
      return std::nullopt;
    }
    for (const v1::Attempt& attempt : job->second.job().attempts()) {
      if (attempt.epoch() == chunk.attempt().epoch() && chunk.rank() >= 0 &&
          chunk.rank() < attempt.ranks_size() && attempt.ranks(chunk.rank()).worker() == worker_) {
        return LogName{job->second.job().resolved().namespace_(), job->first, attempt.epoch(), chunk.rank()};
      }
    }
    return std::nullopt;
  }

  void AnswerLog(const v1::LogChunk& chunk, int64_t offset) {
    v1::CoordinatorMessage message;
    v1::LogAck* ack = message.mutable_log_ack();
    *ack->mutable_attempt() = chunk.attempt();
    ack->set_rank(chunk.rank());
    ack->set_offset(offset);
    Send(message);
  }

  void Append(const LogName& name, const v1::LogChunk& chunk) {
    const absl::StatusOr<int64_t> end = services_.logs->Append(name, chunk.offset(), chunk.data());
    if (!end.ok()) {
      LogWarning(absl::StrCat("cannot keep a log: ", Describe(end.status())));
      return;
    }
    AnswerLog(chunk, *end);
    services_.hub->Notify(LogTopic(name.uid));
  }

  const Services services_;
  const absl::StatusOr<Caller> caller_;
  int64_t connection_ = 0;
  std::string worker_;  // Set by the one read that is under way, before anything reads it.
  v1::WorkerMessage in_;

  std::mutex mutex_;
  // Guarded by mutex_. The front of the queue is being written.
  std::deque<v1::CoordinatorMessage> queue_;
  int in_flight_ = 0;
  bool paused_ = false;  // No read is under way: too many are in flight.
  bool finished_ = false;
  std::optional<absl::Status> end_;
  std::shared_ptr<WorkerStream> self_;
};

class Gateway final : public v1::WorkerGateway::CallbackService {
 public:
  explicit Gateway(const Services& services) : services_(services) {}

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* Connect(
      grpc::CallbackServerContext* context) override {
    return WorkerStream::Launch(
        std::make_shared<WorkerStream>(services_, Admit(services_, *context, "Connect")));
  }

 private:
  const Services services_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkerGateway(const Services& services) {
  return std::make_unique<Gateway>(services);
}

}  // namespace cherry::coordinator
