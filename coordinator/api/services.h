// What every part of the edge needs, in one place. Borrowed, not owned.
#ifndef CHERRY_COORDINATOR_API_SERVICES_H_
#define CHERRY_COORDINATOR_API_SERVICES_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "coordinator/api/executor.h"
#include "coordinator/api/log_store.h"
#include "coordinator/api/metrics.h"
#include "coordinator/api/watch_hub.h"
#include "coordinator/api/work_queue.h"
#include "coordinator/api/worker_links.h"
#include "coordinator/store/store.h"

namespace cherry::coordinator {

struct Services {
  Executor* executor = nullptr;
  Store* store = nullptr;
  LogStore* logs = nullptr;
  WatchHub* hub = nullptr;
  WorkerLinks* links = nullptr;
  Metrics* metrics = nullptr;
  WorkQueue* reader = nullptr;      // Reads of store and logs for streams and lists.
  WorkQueue* log_writer = nullptr;  // Appends to logs.
  std::string home;
  std::string data_root;
  std::string checkpoint_root;
  std::string metrics_address;
  absl::Time start_time;
  std::string token;  // Empty: client certificates are asked for.
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_SERVICES_H_
