#include "coordinator/api/janitor.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/api/roots.h"

namespace cherry::coordinator {
namespace {

// Removes what is in the epoch's directory but not in `keep`, and the directory when nothing is left.
absl::Status CollectDirectory(const std::string& root, const CollectEpoch& action) {
  const std::string directory = absl::StrCat(root, "/", action.path);
  if (!Exists(directory)) {
    return absl::OkStatus();
  }
  if (action.keep.empty()) {
    return RemoveBeneath(root, action.path);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    if (std::find(action.keep.begin(), action.keep.end(), name) == action.keep.end()) {
      RETURN_IF_ERROR(RemoveBeneath(root, absl::StrCat(action.path, "/", name)));
    }
  }
  return absl::OkStatus();
}

void LogFailure(const std::string& path, const absl::Status& status) {
  LogWarning(absl::StrCat("cannot remove ", path, ": ", Describe(status)));
}

}  // namespace

Janitor::Janitor(std::string checkpoint_root, Executor* executor)
    : root_(std::move(checkpoint_root)), executor_(executor) {}

void Janitor::Remove(const RemoveCheckpoint& action) {
  queue_.Post([this, action] {
    const absl::Status status = RemoveBeneath(root_, action.path);
    if (!status.ok()) {
      LogFailure(action.path, status);
      return;
    }
    // The epoch's directory goes with its last checkpoint; while there are others this does nothing.
    rmdir(absl::StrCat(root_, "/", action.path.substr(0, action.path.rfind('/'))).c_str());
    executor_->Post([key = action.key](Core* core, Decision* decision) -> Executor::Release {
      core->CheckpointRemoved(decision, key);
      return [] {};
    });
  });
}

void Janitor::Collect(const CollectEpoch& action) {
  queue_.Post([this, action] {
    const absl::Status status = CollectDirectory(root_, action);
    if (!status.ok()) {
      LogFailure(action.path, status);
      return;
    }
    executor_->Post(
        [uid = action.uid, epoch = action.epoch](Core* core, Decision* decision) -> Executor::Release {
          core->EpochCollected(decision, uid, epoch);
          return [] {};
        });
  });
}

}  // namespace cherry::coordinator
