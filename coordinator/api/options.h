// The command line of cherry-coordinator.
#ifndef CHERRY_COORDINATOR_API_OPTIONS_H_
#define CHERRY_COORDINATOR_API_OPTIONS_H_

#include <memory>

#include "coordinator/api/server.h"

namespace cherry::coordinator {

struct Started {
  std::unique_ptr<Server> server;  // Null when the program should end with `exit_code`.
  int exit_code = 0;
};

// Starts what the flags ask for and says so in one line; or answers --help or --version, or says what is
// wrong.
Started StartFromCommandLine(int argc, char** argv);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_OPTIONS_H_
