// Which processes this worker started, on disk, so that its successor can kill those it left behind.
//
// One file a rank in a directory, named by its pid. Trainers die with their worker by themselves; this is for
// the processes that they started, and for kernels that were slow. Thread-safe.
#ifndef CHERRY_WORKER_AGENT_STRAYS_H_
#define CHERRY_WORKER_AGENT_STRAYS_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cherry::worker {

class RankRecords {
 public:
  explicit RankRecords(std::string directory) : directory_(std::move(directory)) {}

  // `mark` is the value of kRankVariable in the rank's environment.
  absl::Status Add(pid_t pid, absl::string_view mark);
  void Remove(pid_t pid);

  // Kills every process that a predecessor recorded and that still is the one recorded (pid and start time,
  // or mark), waits until they are gone, and removes the records. Returns how many were killed. An error when
  // one outlives `timeout`.
  absl::StatusOr<int> KillLeftOvers(absl::Duration timeout);

 private:
  std::string PathOf(pid_t pid) const;
  const std::string directory_;
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_STRAYS_H_
