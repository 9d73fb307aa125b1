#include "worker/checkpoint/saver.h"

#include <utility>

namespace cherry::trainer {

Saver::Saver(HostState state, Published published)
    : published_(std::move(published)), state_(std::move(state)), thread_([this] { Run(); }) {}

Saver::~Saver() {
  WaitIdle();
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void Saver::WaitIdle() const {
  absl::MutexLock lock(&mutex_);
  const auto idle = [this] { return !request_.has_value(); };
  mutex_.Await(absl::Condition(&idle));
}

HostState* Saver::AcquireState() {
  WaitIdle();
  return &state_;
}

void Saver::Start(SaveRequest request) {
  absl::MutexLock lock(&mutex_);
  if (status_.ok()) {
    request_ = std::move(request);
  }
}

absl::Status Saver::Flush() {
  WaitIdle();
  return status();
}

absl::Status Saver::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

void Saver::Run() {
  while (true) {
    const SaveRequest* request = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this] { return stopping_ || request_.has_value(); };
      mutex_.Await(absl::Condition(&ready));
      if (!request_.has_value()) {
        return;
      }
      // Nobody replaces it before this thread has reset it.
      request = &*request_;
    }
    const absl::StatusOr<SavedCheckpoint> saved = WriteCheckpoint(*request, state_);
    const absl::Status status = saved.ok() ? published_(*request, *saved) : saved.status();
    absl::MutexLock lock(&mutex_);
    if (!status.ok()) {
      status_ = status;
    }
    request_.reset();
  }
}

}  // namespace cherry::trainer
