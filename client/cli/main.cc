#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "client/cli/app.h"
#include "client/data/commands.h"

int main(int argc, char** argv) {
  // `cherry logs | head` ends quietly, as other tools do; gRPC's own writes raise no signal.
  std::signal(SIGPIPE, SIG_DFL);
  const char* const term = std::getenv("TERM");
  cherry::client::Surroundings surroundings;
  surroundings.out = &std::cout;
  surroundings.err = &std::cerr;
  surroundings.terminal = isatty(STDOUT_FILENO) == 1 && term != nullptr && std::string(term) != "dumb";
  surroundings.more = {&cherry::client::RegisterDataCommands};
  return cherry::client::RunCherry(std::vector<std::string>(argv + 1, argv + argc), surroundings);
}
