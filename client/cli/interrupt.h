// Ctrl-C while something is waited for.
#ifndef CHERRY_CLIENT_CLI_INTERRUPT_H_
#define CHERRY_CLIENT_CLI_INTERRUPT_H_

#include <functional>
#include <thread>

namespace cherry::client {

// As long as it lives, the first SIGINT or SIGTERM calls `on_interrupt`, from a thread of its own; the second
// ends the process as usual. At most one object at a time.
class InterruptScope {
 public:
  explicit InterruptScope(std::function<void()> on_interrupt);
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  std::function<void()> on_interrupt_;
  int pipe_[2] = {-1, -1};
  std::thread thread_;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_INTERRUPT_H_
