// Gives the disk back: removes what the core has decided to let go, after that decision was synced.
#ifndef CHERRY_COORDINATOR_API_JANITOR_H_
#define CHERRY_COORDINATOR_API_JANITOR_H_

#include <string>

#include "coordinator/api/executor.h"
#include "coordinator/api/work_queue.h"
#include "coordinator/core/decision.h"

namespace cherry::coordinator {

// Thread-safe. Removes on a thread of its own and tells the core. What cannot be removed is logged and tried
// again by the next process.
class Janitor {
 public:
  Janitor(std::string checkpoint_root, Executor* executor);

  void Remove(const RemoveCheckpoint& action);
  void Collect(const CollectEpoch& action);
  void Stop() { queue_.Stop(); }

 private:
  const std::string root_;
  Executor* const executor_;
  WorkQueue queue_;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_JANITOR_H_
