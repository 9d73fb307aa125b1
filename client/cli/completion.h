// Completion scripts made from the commands themselves.
#ifndef CHERRY_CLIENT_CLI_COMPLETION_H_
#define CHERRY_CLIENT_CLI_COMPLETION_H_

#include <string>

#include "absl/status/statusor.h"

namespace CLI {
class App;
}

namespace cherry::client {

// For "bash" or "zsh": commands, options, kinds of things, names of jobs (asked from the coordinator), files.
absl::StatusOr<std::string> CompletionScript(const CLI::App& app, const std::string& shell);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_COMPLETION_H_
