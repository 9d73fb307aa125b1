// What `cherry local` keeps in CHERRY_HOME, and how its supervisor gets into the background.
//
// HOME/local.lock   held by the supervisor as long as it lives; its pid is the content
// HOME/local.state  ports and pids, for people and for `cherry local status`
// HOME/local.address  where commands with this home find the coordinator
// Thread-safe.
#ifndef CHERRY_CLIENT_CLI_LOCAL_STATE_H_
#define CHERRY_CLIENT_CLI_LOCAL_STATE_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace cherry::client {

struct LocalState {
  int port = 7070;  // Of the coordinator; its metrics are at port + 1, the worker's at port + 2.
  int slots = 0;    // 0: the worker decides.
  pid_t coordinator = 0;
  pid_t worker = 0;

  std::string Address(int offset = 0) const;
};

// Takes the lock for the life of the process. kAlreadyExists: another supervisor has it.
absl::Status LockHome(const std::string& home);

// The supervisor's pid, none where none runs.
absl::StatusOr<std::optional<pid_t>> RunningSupervisor(const std::string& home);

absl::Status WriteLocalState(const std::string& home, const LocalState& state);
absl::StatusOr<LocalState> ReadLocalState(const std::string& home);

// Takes away what tells others that a cluster runs.
void RemoveLocalState(const std::string& home);

// kFailedPrecondition names the first of the three ports that is taken, and --port.
absl::Status CheckPortsFree(const LocalState& state);

// Starts argv in a session of its own, without a controlling terminal, both outputs appended to `log`.
// Returns a descriptor that is readable (end of file) once that process is gone; the caller closes it.
absl::StatusOr<int> StartInBackground(const std::vector<std::string>& argv, const std::string& log);

// Sends SIGTERM and waits for the end. kDeadlineExceeded when it is still there.
absl::Status StopProcess(pid_t pid, absl::Duration timeout);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_LOCAL_STATE_H_
