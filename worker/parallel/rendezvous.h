// How the ranks of an attempt find each other: small values by key, shared by all of them.
#ifndef CHERRY_WORKER_PARALLEL_RENDEZVOUS_H_
#define CHERRY_WORKER_PARALLEL_RENDEZVOUS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cherry::trainer {

// Thread-safe.
class Rendezvous {
 public:
  virtual ~Rendezvous() = default;
  virtual absl::Status Put(const std::string& key, const std::string& value) = 0;
  // Waits until some rank has put the key; kDeadlineExceeded after `deadline`.
  virtual absl::StatusOr<std::string> Get(const std::string& key, absl::Time deadline) = 0;
};

// For ranks that are threads of one process, as in tests. Thread-safe.
class LocalRendezvous final : public Rendezvous {
 public:
  absl::Status Put(const std::string& key, const std::string& value) override;
  absl::StatusOr<std::string> Get(const std::string& key, absl::Time deadline) override;

 private:
  absl::Mutex mutex_;
  std::map<std::string, std::string> values_;  // Guarded by mutex_.
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_PARALLEL_RENDEZVOUS_H_
