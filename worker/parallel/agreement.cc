#include "worker/parallel/agreement.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry::trainer {

absl::StatusOr<std::string> BroadcastString(const std::string& text, Collective* collective, int root) {
  double size = collective->rank() == root ? static_cast<double>(text.size()) : 0.0;
  RETURN_IF_ERROR(collective->AllReduceSum(absl::MakeSpan(&size, 1)));
  std::string shared = collective->rank() == root ? text : std::string(static_cast<size_t>(size), '\0');
  RETURN_IF_ERROR(collective->Broadcast(absl::MakeSpan(shared.data(), shared.size()), root));
  return shared;
}

absl::Status AgreeOn(const absl::Status& local, Collective* collective) {
  if (collective->world_size() == 1) {
    return local;
  }
  std::vector<double> failed(static_cast<size_t>(collective->world_size()), 0.0);
  failed[static_cast<size_t>(collective->rank())] = local.ok() ? 0.0 : 1.0;
  RETURN_IF_ERROR(collective->AllReduceSum(absl::MakeSpan(failed)));
  for (int rank = 0; rank < collective->world_size(); ++rank) {
    if (failed[static_cast<size_t>(rank)] == 0.0) {
      continue;
    }
    v1::ErrorInfo info = InfoOf(local);
    ASSIGN_OR_RETURN(const std::string code,
                     BroadcastString(absl::StrCat(static_cast<int>(local.code())), collective, rank));
    ASSIGN_OR_RETURN(const std::string message,
                     BroadcastString(std::string(local.message()), collective, rank));
    ASSIGN_OR_RETURN(const std::string details, BroadcastString(info.SerializeAsString(), collective, rank));
    if (!info.ParseFromString(details)) {
      return absl::InternalError("an error's details were lost on their way between ranks");
    }
    return Error(static_cast<absl::StatusCode>(std::atoi(code.c_str())), info.reason(), info.field(), message,
                 info.remedy());
  }
  return absl::OkStatus();
}

}  // namespace cherry::trainer
