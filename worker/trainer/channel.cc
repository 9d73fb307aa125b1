#include "worker/trainer/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"
#include "common/frame.h"
#include "common/log.h"
#include "common/status.h"
#include "worker/trainer/process.h"

namespace cherry::trainer {

absl::StatusOr<std::unique_ptr<WorkerChannel>> WorkerChannel::Open(int fd) {
  v1::ToTrainer first;
  RETURN_IF_ERROR(Annotate(ReadFrame(fd, &first), "waiting for the worker"));
  if (!first.has_start()) {
    return absl::FailedPreconditionError("the worker's first message does not start a rank");
  }
  std::unique_ptr<WorkerChannel> channel(new WorkerChannel(fd, std::move(*first.mutable_start())));
  v1::FromTrainer ready;
  ready.mutable_ready();
  channel->Send(ready);
  return channel;
}

WorkerChannel::WorkerChannel(int fd, v1::StartRank start)
    : fd_(fd), start_(std::move(start)), listener_([this] { Listen(); }) {}

WorkerChannel::~WorkerChannel() {
  finished_ = true;
  // Wakes the listener.
  shutdown(fd_, SHUT_RD);
  listener_.join();
  close(fd_);
}

void WorkerChannel::Listen() {
  while (true) {
    v1::ToTrainer message;
    const absl::Status status = ReadFrame(fd_, &message);
    if (!status.ok()) {
      if (finished_) {
        return;
      }
      LogError(absl::StrCat("the worker has gone (", status.message(), "): ending"));
      // Nothing of this process may outlive its worker, neither a save under way nor a collective.
      _exit(kExitPeerLost);
    }
    Handle(message);
  }
}

void WorkerChannel::Handle(const v1::ToTrainer& message) {
  if (message.has_stop()) {
    const StopRequest request = message.stop().checkpoint() ? StopRequest::kSave : StopRequest::kNow;
    stop_ = std::max(stop_.load(), request);
  } else if (message.has_rendezvous()) {
    absl::MutexLock lock(&mutex_);
    answers_[message.rendezvous().key()] = message.rendezvous().value();
  } else if (message.has_committed()) {
    absl::MutexLock lock(&mutex_);
    committed_.insert(message.committed().step());
  }
}

void WorkerChannel::Send(const v1::FromTrainer& message) {
  absl::MutexLock lock(&write_mutex_);
  Drop(WriteFrame(fd_, message));
}

void WorkerChannel::SendPhase(v1::PhaseReport::Phase phase, int64_t step) {
  v1::FromTrainer message;
  message.mutable_phase()->set_phase(phase);
  message.mutable_phase()->set_step(step);
  Send(message);
}

void WorkerChannel::SendNote(const std::string& type, const std::string& text, int64_t step) {
  v1::FromTrainer message;
  v1::AttemptNote* note = message.mutable_note();
  *note->mutable_attempt() = start_.attempt().attempt();
  note->set_type(type);
  note->set_message(text);
  note->set_step(step);
  Send(message);
}

void WorkerChannel::SendFinished(const v1::RankFinished& finished) {
  finished_ = true;
  v1::FromTrainer message;
  *message.mutable_finished() = finished;
  Send(message);
}

StopRequest WorkerChannel::stop() const {
  return std::max(stop_.load(), TerminationRequested() ? StopRequest::kSave : StopRequest::kNone);
}

void WorkerChannel::AwaitCommitted(int64_t step) {
  absl::MutexLock lock(&mutex_);
  const auto committed = [&] { return committed_.count(step) > 0; };
  mutex_.Await(absl::Condition(&committed));
}

absl::Status WorkerChannel::Put(const std::string& key, const std::string& value) {
  v1::FromTrainer message;
  v1::RendezvousPut* put = message.mutable_rendezvous_put();
  *put->mutable_attempt() = start_.attempt().attempt();
  put->set_key(key);
  put->set_value(value);
  Send(message);
  return absl::OkStatus();
}

absl::StatusOr<std::string> WorkerChannel::Get(const std::string& key, absl::Time deadline) {
  v1::FromTrainer message;
  v1::RendezvousGet* get = message.mutable_rendezvous_get();
  *get->mutable_attempt() = start_.attempt().attempt();
  get->set_rank(start_.rank());
  get->set_key(key);
  Send(message);
  absl::MutexLock lock(&mutex_);
  const auto answered = [&] { return answers_.count(key) > 0; };
  if (!mutex_.AwaitWithDeadline(absl::Condition(&answered), deadline)) {
    return absl::DeadlineExceededError(absl::StrCat("no rank has put ", key, " in time"));
  }
  return answers_[key];
}

}  // namespace cherry::trainer
