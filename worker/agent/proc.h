// What /proc tells about processes. All functions are thread-safe.
#ifndef CHERRY_WORKER_AGENT_PROC_H_
#define CHERRY_WORKER_AGENT_PROC_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cherry::worker {

struct ProcessStat {
  pid_t pid = 0;
  char state = '?';
  pid_t parent = 0;
  pid_t group = 0;
  int64_t start_ticks = 0;  // Since boot; with the pid and the boot it names one process for ever.
};

// Nothing when there is no such process.
std::optional<ProcessStat> StatOf(pid_t pid);

// Of every process that can be seen.
std::vector<ProcessStat> AllProcesses();

// True when the environment that the process was started with has this "NAME=value" entry.
bool HasEnvironment(pid_t pid, absl::string_view entry);

// Changes with every boot.
std::string BootId();

// Waits until the process has ended (as a zombie at least) or the deadline has passed; true when ended.
bool WaitForEnd(pid_t pid, absl::Duration timeout);

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_PROC_H_
