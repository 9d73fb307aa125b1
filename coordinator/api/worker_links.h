// Which connection speaks for which worker.
#ifndef CHERRY_COORDINATOR_API_WORKER_LINKS_H_
#define CHERRY_COORDINATOR_API_WORKER_LINKS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cherry/v1/worker.pb.h"

namespace cherry::coordinator {

// One connection. Thread-safe; never blocks.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void Send(const v1::CoordinatorMessage& message) = 0;
  virtual void Close(const absl::Status& status) = 0;
};

// Thread-safe. What is sent to a worker without a connection is dropped: it is sent again when the worker
// registers.
class WorkerLinks {
 public:
  // A new connection; returns its number.
  int64_t Add(const std::shared_ptr<WorkerLink>& link) {
    const std::lock_guard<std::mutex> lock(mutex_);
    links_[++last_] = link;
    return last_;
  }
  void Remove(int64_t connection) {
    const std::lock_guard<std::mutex> lock(mutex_);
    links_.erase(connection);
  }
  void Bind(int64_t connection, const std::string& worker) {
    const std::lock_guard<std::mutex> lock(mutex_);
    bound_[worker] = connection;
  }
  void Send(const std::string& worker, const v1::CoordinatorMessage& message) {
    if (const std::shared_ptr<WorkerLink> link = Find(worker)) {
      link->Send(message);
    }
  }
  void Close(int64_t connection, const absl::Status& status) {
    if (const std::shared_ptr<WorkerLink> link = Find(connection)) {
      link->Close(status);
    }
  }
  void CloseAll(const absl::Status& status) {
    std::map<int64_t, std::shared_ptr<WorkerLink>> links;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      links = links_;
    }
    for (const auto& [connection, link] : links) {
      link->Close(status);
    }
  }

 private:
  std::shared_ptr<WorkerLink> Find(int64_t connection) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto link = links_.find(connection);
    return link == links_.end() ? nullptr : link->second;
  }
  std::shared_ptr<WorkerLink> Find(const std::string& worker) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto bound = bound_.find(worker);
    const auto link = bound == bound_.end() ? links_.end() : links_.find(bound->second);
    return link == links_.end() ? nullptr : link->second;
  }

  std::mutex mutex_;
  int64_t last_ = 0;                                      // Guarded by mutex_, as all below.
  std::map<int64_t, std::shared_ptr<WorkerLink>> links_;  // By connection.
  std::map<std::string, int64_t> bound_;                  // Worker to connection.
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_WORKER_LINKS_H_
