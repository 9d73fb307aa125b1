// The flags of cherry-worker.
#ifndef CHERRY_WORKER_AGENT_OPTIONS_H_
#define CHERRY_WORKER_AGENT_OPTIONS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/endpoint.h"

namespace cherry::worker {

struct Options {
  std::string name;
  std::string home;  // Absolute, like all paths here.
  std::string data_root;
  std::string checkpoint_root;
  std::string trainer;
  Endpoint coordinator;
  Endpoint metrics_address;
  std::string address;  // Collective interface; "" lets the agent choose.
  std::map<std::string, std::string> labels;
  int slots = 0;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_ca;
  absl::Duration grace = absl::Seconds(25);
  absl::Duration offline_cap = absl::Hours(1);
};

struct ParsedOptions {
  Options options;
  bool exit = false;  // --help or --version was answered, or the flags are wrong and it was said.
  int exit_code = 0;
};

// Reads the command line and the environment (CHERRY_HOME, CHERRY_COORDINATOR, HOME). Errors of values name
// the flag and the remedy. Not thread-safe.
absl::StatusOr<ParsedOptions> ParseOptions(int argc, char** argv);

// The local address from which packets to `endpoint` leave; for hosts with several interfaces.
absl::StatusOr<std::string> LocalAddressTowards(const Endpoint& endpoint);

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_OPTIONS_H_
