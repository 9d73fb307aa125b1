// What `cherry get` is asked for, and which flags mean something for which kind of thing.
//
// Pure functions, thread-safe.
#ifndef CHERRY_CLIENT_CLI_GET_QUERY_H_
#define CHERRY_CLIENT_CLI_GET_QUERY_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/context.h"

namespace cherry::client {

// As they were given.
struct GetFlags {
  std::string what;
  std::vector<std::string> names;
  std::vector<std::string> labels;
  std::vector<std::string> states;
  bool watch = false;
};

// As they are meant.
struct GetQuery {
  std::string what;  // In the plural: "jobs".
  std::vector<std::string> names;
  std::map<std::string, std::string> labels;  // All must match.
  std::set<std::string> states;               // Upper case; empty: all.
  bool watch = false;

  // Whether a thing's labels and state are among what is asked for.
  template <typename Labels>
  bool HasLabels(const Labels& of) const {
    for (const auto& [key, value] : labels) {
      const auto found = of.find(key);
      if (found == of.end() || found->second != value) {
        return false;
      }
    }
    return true;
  }
  bool HasState(const std::string& state) const { return states.empty() || states.count(state) > 0; }
};

// INVALID_ARGUMENT names the flag that has no meaning for this kind, with these names or this output.
absl::StatusOr<GetQuery> MakeQuery(const GetFlags& flags, Output output);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_GET_QUERY_H_
