// A program under test: started with its own log, killed and restarted by the test.
//
// Not thread-safe.
#ifndef CHERRY_TESTS_INTEGRATION_PROCESS_H_
#define CHERRY_TESTS_INTEGRATION_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace cherry::integration {

class Process {
 public:
  Process() = default;
  ~Process() { Kill(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Both outputs are appended to `log`. The program dies with the test. The environment is the test's with
  // `environment` ("NAME=value") on top. Aborts the test when it cannot be started.
  void Start(const std::vector<std::string>& command, const std::vector<std::string>& environment,
             const std::string& log);
  // SIGKILL, and reaps it. Fine when it does not run.
  void Kill();
  void Signal(int signal);
  // Reaps it; false when it still runs after `timeout`. `*status` is waitpid's.
  bool Wait(absl::Duration timeout, int* status);
  pid_t pid() const { return pid_; }
  bool running() const { return pid_ > 0; }

 private:
  pid_t pid_ = 0;
  int pidfd_ = -1;
};

struct CommandResult {
  int exit_code = -1;
  std::string output;  // Both, as they came.
};

// Runs a command to its end, or kills it after `timeout`.
CommandResult RunCommand(const std::vector<std::string>& command, const std::vector<std::string>& environment,
                         absl::Duration timeout);

}  // namespace cherry::integration

#endif  // CHERRY_TESTS_INTEGRATION_PROCESS_H_
