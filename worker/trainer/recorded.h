// Checkpoints as the coordinator has recorded them, found beneath this worker's checkpoint root.
//
// Thread-safe.
#ifndef CHERRY_WORKER_TRAINER_RECORDED_H_
#define CHERRY_WORKER_TRAINER_RECORDED_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cherry/v1/trainer.pb.h"

namespace cherry::trainer {

// Its directory, absolute; an error when that would leave the root.
absl::StatusOr<std::string> DirectoryOf(const v1::StartRank& start, const v1::Checkpoint& checkpoint);

// Reads every file back against the manifest, and the manifest against the record. kDataLoss: it is damaged.
absl::Status VerifyRecorded(const v1::StartRank& start, const v1::Checkpoint& checkpoint);

// CHECKPOINT_UNREADABLE when the root cannot be read: it must not be taken for checkpoints that are gone.
absl::Status CheckRoot(const v1::StartRank& start);

// Whether VerifyRecorded's result says that it is gone or damaged and will never be read again; anything else
// may pass.
bool IsCorrupt(const absl::Status& status);

// CHECKPOINT_UNREADABLE, for what may pass.
absl::Status Unreadable(const v1::Checkpoint& checkpoint, const absl::Status& status);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_RECORDED_H_
