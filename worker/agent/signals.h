// Turns SIGTERM and SIGINT into calls, so that nothing has to be done within a signal handler.
#ifndef CHERRY_WORKER_AGENT_SIGNALS_H_
#define CHERRY_WORKER_AGENT_SIGNALS_H_

#include <functional>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"

namespace cherry::worker {

// Blocks both signals, and ignores SIGPIPE, in the calling thread and all that it starts from now on. Call it
// before the first thread starts.
void BlockSignals();

class SignalWatcher {
 public:
  // `on_signal` is called on a thread of the watcher's own for each signal, until the watcher goes.
  static absl::StatusOr<std::unique_ptr<SignalWatcher>> Create(std::function<void(int)> on_signal);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  SignalWatcher(std::function<void(int)> on_signal, int signal_fd, int stop_fd);
  void Loop();

  const std::function<void(int)> on_signal_;
  const int signal_fd_;
  const int stop_fd_;
  std::thread thread_;
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_SIGNALS_H_
