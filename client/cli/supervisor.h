// Keeps the daemons of `cherry local` alive.
//
// One process, one thread: children are told to die with it (PR_SET_PDEATHSIG), and processes that they leave
// behind are inherited and reaped. Not thread-safe.
#ifndef CHERRY_CLIENT_CLI_SUPERVISOR_H_
#define CHERRY_CLIENT_CLI_SUPERVISOR_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace cherry::client {

struct Daemon {
  std::string name;
  std::vector<std::string> argv;  // argv[0] is the program's path.
  std::string log;                // stdout and stderr are appended to it.
  absl::Duration grace;           // Between SIGTERM and SIGKILL when stopping.
};

struct SupervisorOptions {
  // Started in this order, stopped in the reverse one.
  std::vector<Daemon> daemons;
  // A daemon that has died is started again after `first_pause`, twice as long each time up to
  // `longest_pause`, and anew from `first_pause` once it has lived for `healthy`.
  absl::Duration first_pause = absl::Milliseconds(200);
  absl::Duration longest_pause = absl::Seconds(10);
  absl::Duration healthy = absl::Seconds(10);
  // Told after every start and end: the daemons' pids in the order of `daemons`, 0 for one that does not run.
  std::function<void(const std::vector<pid_t>&)> on_change;
};

// Runs until SIGTERM or SIGINT, then stops the daemons and reaps every process; a second signal kills them at
// once. Call it from the main thread of a process without other threads.
absl::Status Supervise(const SupervisorOptions& options);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_SUPERVISOR_H_
