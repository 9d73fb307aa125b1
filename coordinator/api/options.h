// The command line of cherry-coordinator.
#ifndef CHERRY_COORDINATOR_API_OPTIONS_H_
#define CHERRY_COORDINATOR_API_OPTIONS_H_

#include <memory>
#include <string>

#include "coordinator/api/server.h"

namespace CLI {
class App;
}  // namespace CLI

namespace cherry::coordinator {

// Durations are texts like "10s" until they are parsed.
struct Flags {
  ServerOptions options;
  std::string lease = "10s";
  std::string heartbeat = "2s";
  std::string backoff_base = "1s";
};

void AddFlags(CLI::App* app, Flags* flags);

// Starts, says so in one line, or says what is wrong in one error and returns null.
std::unique_ptr<Server> StartFromFlags(const Flags& flags);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_OPTIONS_H_
