// A queue of work for one thread.
//
// Thread-safe; one thread takes.
#ifndef CHERRY_WORKER_AGENT_MAILBOX_H_
#define CHERRY_WORKER_AGENT_MAILBOX_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace cherry::worker {

class Mailbox {
 public:
  using Task = std::function<void()>;

  // False, and the task is dropped, after Close.
  bool Post(Task task) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (closed_) {
        return false;
      }
      tasks_.push_back(std::move(task));
    }
    arrived_.notify_one();
    return true;
  }

  // The tasks in order, waiting for the first for at most `timeout`.
  std::vector<Task> Take(absl::Duration timeout) {
    std::vector<Task> tasks;
    std::unique_lock<std::mutex> lock(mutex_);
    arrived_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return !tasks_.empty(); });
    tasks.swap(tasks_);
    return tasks;
  }

  // Nothing more is accepted; what is there can still be taken.
  void Close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Task> tasks_;  // Protected by mutex_.
  bool closed_ = false;      // Protected by mutex_.
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_MAILBOX_H_
