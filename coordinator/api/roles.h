// Who may call what: one table for every RPC.
//
// Pure functions, thread-safe.
#ifndef CHERRY_COORDINATOR_API_ROLES_H_
#define CHERRY_COORDINATOR_API_ROLES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace cherry::coordinator {

enum Role : unsigned {
  kSubmitter = 1,  // Submits jobs and acts on its own.
  kOperator = 2,   // Acts on every job and worker.
  kWorker = 4,     // Speaks for a host.
  kReader = 8,     // Sees everything, changes nothing: whoever looks at the page.
};

struct RpcRule {
  const char* method;  // Without the service's name: unique over both services.
  unsigned roles;      // Any of these may call it.
  bool unary;          // Calls of people need a deadline.
};
absl::Span<const RpcRule> RpcRules();

struct Identity {
  std::string name;
  unsigned roles = 0;
};

// PERMISSION_DENIED (ROLE_MISSING) unless one of the identity's roles may call the method. A method that is
// not in the table is refused to everybody.
absl::Status Authorise(const Identity& identity, absl::string_view method);

// The role that a client certificate's subject gives: its OU is submitter, operator, worker or reader, its CN
// the name. `subject` in RFC 2253 form: "CN=kim,OU=submitter,O=team". UNAUTHENTICATED (CERTIFICATE_INVALID).
absl::StatusOr<Identity> IdentityFromSubject(absl::string_view subject);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_ROLES_H_
