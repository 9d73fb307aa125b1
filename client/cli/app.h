// The whole command line: parse, run, print the error, return the exit code.
#ifndef CHERRY_CLIENT_CLI_APP_H_
#define CHERRY_CLIENT_CLI_APP_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "client/cli/context.h"

namespace CLI {
class App;
}

namespace cherry::client {

// Everything that needs the tokenizer or the trainer is registered from outside, so that this library does
// without.
using Registrar = std::function<void(CLI::App&, Context*)>;

struct Surroundings {
  std::ostream* out = nullptr;  // Not owned.
  std::ostream* err = nullptr;  // Not owned.
  bool terminal = false;        // `out` is one.
  ClientFactory factory = &NewClient;
  std::vector<Registrar> more;
};

// `args` without the program's name.
int RunCherry(const std::vector<std::string>& args, const Surroundings& surroundings);

// Every command and option, without running anything: for completion and for tests. `context` must outlive
// `app`.
void BuildApp(CLI::App& app, Context* context, const std::vector<Registrar>& more);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_APP_H_
