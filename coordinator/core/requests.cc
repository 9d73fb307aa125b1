#include "coordinator/core/requests.h"

#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "common/status.h"

namespace cherry::coordinator {
namespace {

// Of who asked for what: an id says nothing to anybody else.
std::string HashOf(const Mutation& mutation) {
  return HashBytes(absl::StrCat(mutation.caller.identity, "\n", mutation.method, "\n", mutation.content));
}

}  // namespace

absl::StatusOr<bool> IsRepeated(const State& state, Decision* decision, const Mutation& mutation) {
  if (mutation.request_id.empty() || mutation.request_id.size() > 64) {
    return InvalidField("REQUEST_ID_MISSING", "request_id",
                        "request_id: is empty or longer than 64 characters",
                        "send a new UUID with each mutation, and the same one when repeating it");
  }
  const auto found = state.requests.find(mutation.request_id);
  if (found == state.requests.end()) {
    return false;
  }
  if (found->second.content_hash != HashOf(mutation)) {
    return Error(absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED", "request_id",
                 absl::StrCat("request_id: ", mutation.request_id, " was used for another request"),
                 "use a new UUID for each request");
  }
  decision->stored_reply = mutation.request_id;
  return true;
}

void RememberReply(State* state, Decision* decision, const Mutation& mutation, const std::string& reply) {
  v1::RequestRecord& record = decision->changes.put_requests.emplace_back();
  record.set_request_id(mutation.request_id);
  record.set_method(mutation.method);
  record.set_identity(mutation.caller.identity);
  record.set_content_hash(HashOf(mutation));
  record.set_reply(reply);
  *record.mutable_time() = ToProto(decision->now);
  state->requests[mutation.request_id] = {record.content_hash(), decision->now};
  state->request_times.push_back({decision->now, mutation.request_id});
}

void ExpireRequests(State* state, Decision* decision) {
  while (NextRequestExpiry(*state) <= decision->now) {
    const std::string& id = state->request_times.front().second;
    decision->changes.delete_requests.push_back(id);
    state->requests.erase(id);
    state->request_times.pop_front();
  }
}

absl::Time NextRequestExpiry(const State& state) {
  return state.request_times.empty() ? absl::InfiniteFuture()
                                     : state.request_times.front().first + state.config.request_ttl;
}

}  // namespace cherry::coordinator
