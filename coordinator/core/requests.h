// Request ids: what makes every mutation safe to repeat.
//
// No thread safety: one thread steps the core.
#ifndef CHERRY_COORDINATOR_CORE_REQUESTS_H_
#define CHERRY_COORDINATOR_CORE_REQUESTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/core/decision.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

// A mutation before it is decided.
struct Mutation {
  Caller caller;
  std::string method;
  std::string request_id;
  std::string content;  // The request without its id, serialised deterministically.
};

// True when this mutation was decided before: the reply kept for its id is the answer, and `decision` says
// so.
//   INVALID_ARGUMENT: no or too long an id. ALREADY_EXISTS (REQUEST_ID_REUSED): the id stands for another
//   content.
absl::StatusOr<bool> IsRepeated(const State& state, Decision* decision, const Mutation& mutation);

// Keeps the reply of a mutation that succeeded.
void RememberReply(State* state, Decision* decision, const Mutation& mutation, const std::string& reply);

// Forgets what is older than Config::request_ttl.
void ExpireRequests(State* state, Decision* decision);
absl::Time NextRequestExpiry(const State& state);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_CORE_REQUESTS_H_
