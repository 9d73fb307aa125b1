#include "worker/trainer/recorded.h"

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/manifest.h"
#include "common/status.h"

namespace cherry::trainer {

absl::StatusOr<std::string> DirectoryOf(const v1::StartRank& start, const v1::Checkpoint& checkpoint) {
  return ResolveBeneath(start.checkpoint_root(), checkpoint.path(), "checkpoint");
}

absl::Status VerifyRecorded(const v1::StartRank& start, const v1::Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const std::string directory, DirectoryOf(start, checkpoint));
  RETURN_IF_ERROR(VerifyCheckpoint(directory).status());
  if (checkpoint.manifest_hash().empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string hash, HashFile(absl::StrCat(directory, "/", kManifestFile)));
  if (hash != checkpoint.manifest_hash()) {
    return absl::DataLossError(absl::StrCat(kManifestFile, ": checksum ", hash, " is not the recorded ",
                                            checkpoint.manifest_hash()));
  }
  return absl::OkStatus();
}

absl::Status CheckRoot(const v1::StartRank& start) {
  const absl::StatusOr<std::string> id = ReadFile(absl::StrCat(start.checkpoint_root(), "/", kRootIdFile));
  if (id.ok()) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kUnavailable, "CHECKPOINT_UNREADABLE", "checkpoint",
               absl::StrCat("the checkpoint root cannot be read: ", id.status().message()),
               "mount the checkpoint root of the cluster on this worker");
}

bool IsCorrupt(const absl::Status& status) { return absl::IsDataLoss(status) || absl::IsNotFound(status); }

absl::Status Unreadable(const v1::Checkpoint& checkpoint, const absl::Status& status) {
  return Error(absl::StatusCode::kUnavailable, "CHECKPOINT_UNREADABLE", "checkpoint",
               absl::StrCat("checkpoint of step ", checkpoint.step(), " cannot be read: ", status.message()),
               "check the checkpoint root on this worker; the job goes on from it when it can be read");
}

}  // namespace cherry::trainer
