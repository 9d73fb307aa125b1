// The coordinator's durable state in RocksDB. The only place that knows RocksDB.
//
// Commit is synced: when it returns OK the records survive a crash of the process and of the machine. Series
// of metrics are not synced by themselves; the next Commit takes them along. One thread writes; reads are
// thread-safe and see only what has been written.
#ifndef CHERRY_COORDINATOR_STORE_STORE_H_
#define CHERRY_COORDINATOR_STORE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cherry/v1/coordinator.pb.h"
#include "cherry/v1/record.pb.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision.h"

namespace cherry::coordinator {

class Store {
 public:
  // Points kept in full for each series; twice as coarse for the older half each time that more come.
  static constexpr int64_t kFullResolution = 10000;

  // Opens or creates. FAILED_PRECONDITION: another process has it open, or its format is another version's.
  // DATA_LOSS: something that was synced is damaged; a torn end of the log, as a crash leaves it, is not.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& directory);
  virtual ~Store() = default;

  // Every record but events, replies and series.
  virtual absl::StatusOr<Records> Load() = 0;

  // Writes all changes in one batch and syncs it. After an error nothing more can be written: end the
  // process.
  virtual absl::Status Commit(const std::vector<Changes>& group) = 0;

  // Adds points; the same step of a series is overwritten. Unsynced.
  virtual absl::Status AppendSamples(const std::vector<RecordSamples>& samples) = 0;

  // The reply kept for a request id. NOT_FOUND after its expiry.
  virtual absl::StatusOr<std::string> ReadReply(const std::string& request_id) = 0;

  // Oldest first, at most `limit`, after `sequence`; of one job, or of the cluster when `uid` is empty.
  virtual absl::StatusOr<std::vector<v1::Event>> ReadEvents(const std::string& uid, int64_t after,
                                                            int limit) = 0;
  // The newest `limit`, oldest first.
  virtual absl::StatusOr<std::vector<v1::Event>> ReadLastEvents(const std::string& uid, int limit) = 0;

  // Points by series name, then step, with step > `after_step`, beginning behind the position (name, step)
  // that `resume` holds ("" for the start) and at most `limit`. `next` is set to the position to go on from,
  // or "".
  virtual absl::StatusOr<std::vector<v1::MetricSample>> ReadSamples(const std::string& uid,
                                                                    const std::string& name,
                                                                    int64_t after_step,
                                                                    const std::string& resume, int limit,
                                                                    std::string* next) = 0;

  // The newest point of each of a job's series.
  virtual absl::StatusOr<std::vector<v1::MetricSample>> ReadNewest(const std::string& uid) = 0;

  // Seconds each sync took, for the metrics endpoint. Set before the first Commit.
  void set_sync_observer(std::function<void(double)> observer) { sync_observer_ = std::move(observer); }

 protected:
  std::function<void(double)> sync_observer_ = [](double) {};
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_STORE_STORE_H_
