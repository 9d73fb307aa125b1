#include "common/status.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace cherry {
namespace {

constexpr char kInfoUrl[] = "type.googleapis.com/cherry.v1.ErrorInfo";

}  // namespace

absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view field,
                   absl::string_view message, absl::string_view remedy) {
  absl::Status status(code, message);
  v1::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_field(std::string(field));
  info.set_remedy(std::string(remedy));
  status.SetPayload(kInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status InvalidField(absl::string_view reason, absl::string_view field, absl::string_view message,
                          absl::string_view remedy) {
  return Error(absl::StatusCode::kInvalidArgument, reason, field, message, remedy);
}

v1::ErrorInfo InfoOf(const absl::Status& status) {
  v1::ErrorInfo info;
  auto payload = status.GetPayload(kInfoUrl);
  if (payload.has_value() && !info.ParseFromString(std::string(*payload))) {
    info.Clear();
  }
  return info;
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) {
    return status;
  }
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload(
      [&annotated](absl::string_view url, const absl::Cord& payload) { annotated.SetPayload(url, payload); });
  return annotated;
}

absl::Status ErrnoError(int error_number, absl::string_view what) {
  return absl::ErrnoToStatus(error_number, what);
}

std::string Describe(const absl::Status& status) {
  const std::string remedy = InfoOf(status).remedy();
  return remedy.empty() ? std::string(status.message()) : absl::StrCat(status.message(), ": ", remedy);
}

}  // namespace cherry
