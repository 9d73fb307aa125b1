// Errors on the wire, the same for server and clients: a status with its ErrorInfo as the bytes of
// `grpc-status-details-bin`. No gRPC here; grpc::Status takes and gives these bytes as error_details().
//
// All functions are thread-safe.
#ifndef CHERRY_COMMON_RPC_STATUS_H_
#define CHERRY_COMMON_RPC_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cherry {

// The details of an error: an RpcStatus with one ErrorInfo. A status without ErrorInfo gets one whose reason
// is the name of its code. Empty for OK.
std::string EncodeRpcStatus(const absl::Status& status);

// The status that the peer meant. `details` may be empty or unreadable: then only code and message count.
absl::Status DecodeRpcStatus(absl::StatusCode code, absl::string_view message, absl::string_view details);

}  // namespace cherry

#endif  // CHERRY_COMMON_RPC_STATUS_H_
