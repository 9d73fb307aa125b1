#include "coordinator/api/admission.h"

#include <chrono>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/rpc_status.h"
#include "common/status.h"
#include "common/version.h"
#include "coordinator/api/roles.h"
#include "coordinator/api/token.h"

namespace cherry::coordinator {
namespace {

// The first value of a metadata key, or "".
absl::string_view Metadata(const grpc::ServerContextBase& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  return found == context.client_metadata().end()
             ? absl::string_view()
             : absl::string_view(found->second.data(), found->second.size());
}

absl::Status CheckVersion(const grpc::ServerContextBase& context) {
  const absl::string_view version = Metadata(context, "cherry-api-version");
  const std::vector<absl::string_view> parts = absl::StrSplit(version, '.');
  if (version.empty() || parts[0] == absl::StrCat(kApiMajor)) {
    return absl::OkStatus();
  }
  return Error(
      absl::StatusCode::kFailedPrecondition, "API_VERSION_UNSUPPORTED", "cherry-api-version",
      absl::StrCat("cherry-api-version: ", version.substr(0, 32), " is not supported, only ", kApiMajor),
      "use a client of the coordinator's version");
}

absl::StatusOr<Identity> ByToken(const Services& services, const grpc::ServerContextBase& context) {
  absl::string_view given = Metadata(context, "authorization");
  if (given.empty()) {
    return Error(absl::StatusCode::kUnauthenticated, "TOKEN_MISSING", "authorization",
                 "the call carries no token",
                 "send 'authorization: Bearer TOKEN' with the content of CHERRY_HOME/token");
  }
  if (!absl::ConsumePrefix(&given, "Bearer ") || !TokensEqual(given, services.token)) {
    return Error(absl::StatusCode::kUnauthenticated, "TOKEN_WRONG", "authorization",
                 "the call's token is wrong", "use the content of CHERRY_HOME/token of this coordinator");
  }
  return Identity{"local", kSubmitter | kOperator | kWorker};
}

absl::StatusOr<Identity> ByCertificate(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) {
    return Error(absl::StatusCode::kUnauthenticated, "CERTIFICATE_INVALID", "",
                 "the call carries no client certificate", "give --tls-cert and --tls-key");
  }
  const std::vector<grpc::string_ref> subject = auth->FindPropertyValues("x509_subject");
  return IdentityFromSubject(subject.empty() ? "" : absl::string_view(subject[0].data(), subject[0].size()));
}

bool IsUnary(absl::string_view method) {
  for (const RpcRule& rule : RpcRules()) {
    if (method == rule.method) {
      return rule.unary;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<Caller> Admit(const Services& services, const grpc::ServerContextBase& context,
                             absl::string_view method) {
  ASSIGN_OR_RETURN(const Identity identity,
                   services.token.empty() ? ByCertificate(context) : ByToken(services, context));
  RETURN_IF_ERROR(CheckVersion(context));
  RETURN_IF_ERROR(Authorise(identity, method));
  if (IsUnary(method) && context.deadline() == std::chrono::system_clock::time_point::max()) {
    return InvalidField("DEADLINE_REQUIRED", "deadline", "the call has no deadline", "set one on every call");
  }
  return Caller{identity.name, (identity.roles & kOperator) != 0};
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  constexpr size_t kMostMessageBytes = 2048;  // Trailing metadata is limited to 8 KiB by default.
  const absl::Status shorter = [&] {
    absl::Status copy(status.code(), status.message().substr(0, kMostMessageBytes));
    status.ForEachPayload(
        [&copy](absl::string_view url, const absl::Cord& bytes) { copy.SetPayload(url, bytes); });
    return copy;
  }();
  return grpc::Status(static_cast<grpc::StatusCode>(shorter.code()), std::string(shorter.message()),
                      EncodeRpcStatus(shorter));
}

}  // namespace cherry::coordinator
