// Writes a checkpoint directory: every file synced, the manifest last.
#ifndef CHERRY_WORKER_CHECKPOINT_SAVE_H_
#define CHERRY_WORKER_CHECKPOINT_SAVE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/manifest.h"
#include "worker/checkpoint/state.h"

namespace cherry::trainer {

struct SaveRequest {
  std::string root;       // The checkpoint root, absolute.
  std::string directory;  // Of this step, beneath the root.
  std::string config;     // Content of config.json.
  std::string tokenizer;  // Absolute path of the directory whose kTokenizerFiles to copy; "" for none.
  Manifest manifest;      // All but `files`.
};

struct SavedCheckpoint {
  int64_t bytes = 0;  // All files.
  std::string manifest_hash;
};

// "NAMESPACE/JOB-UID/epoch-1/step-00000050"
std::string StepDirectory(const std::string& epoch_directory, int64_t step);

// Shards are deterministic: the same state gives the same bytes. A full disk is DISK_FULL naming the path and
// the free bytes; what was written of a failed save is removed. Thread-safe for different directories.
absl::StatusOr<SavedCheckpoint> WriteCheckpoint(const SaveRequest& request, const HostState& state);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_CHECKPOINT_SAVE_H_
