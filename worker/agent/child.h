// Starts one process in a session and process group of its own, that dies with the thread that started it.
#ifndef CHERRY_WORKER_AGENT_CHILD_H_
#define CHERRY_WORKER_AGENT_CHILD_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cherry::worker {

struct ChildSpec {
  std::string program;                   // Absolute path.
  std::vector<std::string> arguments;    // Without the program's name.
  std::vector<std::string> environment;  // "NAME=value"; all of it.
};

struct Child {
  pid_t pid = 0;    // Also its process group and session.
  int pidfd = -1;   // All descriptors are the caller's to close.
  int socket = -1;  // Our end of the pair; the child's is its descriptor 3. Non-blocking.
  int output = -1;  // Read end of its standard output and error. Non-blocking.
};

// Standard input is /dev/null; no other descriptor is inherited. The kernel kills the child when the calling
// thread ends (PR_SET_PDEATHSIG), so call it from a thread that lives as long as the child may. An error of
// exec is returned, naming the program. Thread-safe.
absl::StatusOr<Child> StartChild(const ChildSpec& spec);

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_CHILD_H_
