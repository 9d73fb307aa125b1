// What every call passes before it means anything: API version, authentication, role, deadline. And how its
// result leaves: status with details, timed.
//
// Thread-safe.
#ifndef CHERRY_COORDINATOR_API_ADMISSION_H_
#define CHERRY_COORDINATOR_API_ADMISSION_H_

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/api/services.h"
#include "coordinator/core/decision.h"

namespace cherry::coordinator {

// FAILED_PRECONDITION (API_VERSION_UNSUPPORTED), UNAUTHENTICATED (TOKEN_MISSING, TOKEN_WRONG,
// CERTIFICATE_INVALID), PERMISSION_DENIED (ROLE_MISSING), INVALID_ARGUMENT (DEADLINE_REQUIRED).
absl::StatusOr<Caller> Admit(const Services& services, const grpc::ServerContextBase& context,
                             absl::string_view method);

// With the error's ErrorInfo in its details.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_ADMISSION_H_
