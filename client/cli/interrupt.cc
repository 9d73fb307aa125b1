#include "client/cli/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace cherry::client {
namespace {

std::atomic<int> signal_pipe{-1};

void OnSignal(int) {
  const int saved = errno;
  const char byte = 's';
  // A full pipe has told it already.
  [[maybe_unused]] const ssize_t written = write(signal_pipe.load(), &byte, 1);
  errno = saved;
}

void Handle(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  // One shot: the second signal finds the default action.
  action.sa_flags = handler == SIG_DFL ? 0 : static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

InterruptScope::InterruptScope(std::function<void()> on_interrupt) : on_interrupt_(std::move(on_interrupt)) {
  if (pipe2(pipe_, O_CLOEXEC) != 0) {
    return;
  }
  signal_pipe = pipe_[1];
  thread_ = std::thread([this] {
    char byte = 0;
    // 's' from the handler, 'q' from the destructor.
    while (read(pipe_[0], &byte, 1) == 1 && byte == 's') {
      on_interrupt_();
    }
  });
  Handle(&OnSignal);
}

InterruptScope::~InterruptScope() {
  if (!thread_.joinable()) {
    return;
  }
  Handle(SIG_DFL);
  const char byte = 'q';
  if (write(pipe_[1], &byte, 1) == 1) {
    thread_.join();
  } else {
    thread_.detach();
  }
  signal_pipe = -1;
  close(pipe_[0]);
  close(pipe_[1]);
}

}  // namespace cherry::client
