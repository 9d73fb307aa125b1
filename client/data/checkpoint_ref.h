// What people type to mean a checkpoint, and the directory it leads to.
//
// Parsing is pure and thread-safe; resolving asks the coordinator.
#ifndef CHERRY_CLIENT_DATA_CHECKPOINT_REF_H_
#define CHERRY_CLIENT_DATA_CHECKPOINT_REF_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/resources.pb.h"
#include "client/rpc/client.h"

namespace cherry::client {

// `JOB`, `JOB:best`, `JOB:latest`, `JOB:STEP` (JOB also as NAMESPACE/JOB), `model:NAME` of an imported model
// (also model:NAMESPACE/NAME), or a path that begins with '/' or '.'.
struct CheckpointRef {
  std::string directory;  // Not empty: the others are.
  std::string job;        // As typed, or the model's name.
  bool model = false;
  std::string checkpoint;  // "best", "latest" or a step.
};

absl::StatusOr<CheckpointRef> ParseCheckpointRef(absl::string_view text);

struct ResolvedCheckpoint {
  std::string directory;
  // What the coordinator records; none for a directory given by its path.
  std::optional<v1::Checkpoint> record;
  std::string job;  // Resource name; of an imported model, that one's.
};

// `connect` is called only when the reference names a job; `job_resource` turns what was typed into a
// resource name. Says so when the root or the directory is not on this machine.
absl::StatusOr<ResolvedCheckpoint> ResolveCheckpoint(
    const CheckpointRef& ref, const std::string& checkpoint_root,
    const std::function<absl::StatusOr<Client*>()>& connect,
    const std::function<absl::StatusOr<std::string>(absl::string_view)>& job_resource);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_CHECKPOINT_REF_H_
