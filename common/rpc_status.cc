#include "common/rpc_status.h"

#include "cherry/v1/coordinator.pb.h"
#include "cherry/v1/rpc_status.pb.h"
#include "common/status.h"

namespace cherry {

std::string EncodeRpcStatus(const absl::Status& status) {
  if (status.ok()) {
    return "";
  }
  v1::ErrorInfo info = InfoOf(status);
  if (info.reason().empty()) {
    info.set_reason(absl::StatusCodeToString(status.code()));
  }
  v1::RpcStatus wire;
  wire.set_code(static_cast<int>(status.code()));
  wire.set_message(std::string(status.message()));
  wire.add_details()->PackFrom(info);
  return wire.SerializeAsString();
}

absl::Status DecodeRpcStatus(absl::StatusCode code, absl::string_view message, absl::string_view details) {
  v1::RpcStatus wire;
  v1::ErrorInfo info;
  if (code == absl::StatusCode::kOk ||
      !wire.ParseFromArray(details.data(), static_cast<int>(details.size())) || wire.details().empty() ||
      !wire.details(0).UnpackTo(&info)) {
    return absl::Status(code, message);
  }
  return Error(code, info.reason(), info.field(), message, info.remedy());
}

}  // namespace cherry
