// The logs of all ranks of this host, and how far the coordinator has each.
//
// Beneath a directory: JOB-UID/epoch-N/rank-R.log. A file is removed once its rank has ended and the
// coordinator has all of it; what a predecessor left behind is sent too. One chunk of a log is under way at a
// time: its answer tells where to go on; an answer without progress means that no more is wanted.
// Thread-safe.
#ifndef CHERRY_WORKER_AGENT_LOG_STORE_H_
#define CHERRY_WORKER_AGENT_LOG_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cherry/v1/worker.pb.h"
#include "worker/agent/rank.h"
#include "worker/agent/rank_log.h"

namespace cherry::worker {

class LogStore {
 public:
  static constexpr int64_t kChunkBytes = 256 << 10;

  // `on_data` is called, from any thread, when there may be something to send.
  LogStore(std::string directory, std::function<void()> on_data);

  // Takes up the logs of a process before this one. Once, at the start.
  absl::Status AdoptLeftOvers();

  absl::StatusOr<std::shared_ptr<RankLog>> Open(const RankKey& key);
  // More has been written to the log, or it has been closed.
  void Touched(const RankKey& key);

  // The next chunk to send, if any.
  std::optional<v1::LogChunk> Next();
  void OnAck(const v1::LogAck& ack);
  // The coordinator wants no more of the attempt.
  void Drop(const AttemptKey& attempt);
  // A new stream: what was under way is to be sent again.
  void Restart();

  // Nothing of a closed log is left to send.
  bool Drained() const;

 private:
  struct Entry {
    std::shared_ptr<RankLog> log;
    int64_t kept = 0;  // By the coordinator, as far as is known.
    bool under_way = false;
    int64_t sent = 0;  // Where the chunk under way begins.
  };
  std::string PathOf(const RankKey& key) const;
  void RemoveIfFinished(std::map<RankKey, Entry>::iterator entry);

  const std::string directory_;
  const std::function<void()> on_data_;
  mutable std::mutex mutex_;
  std::map<RankKey, Entry> entries_;  // Protected by mutex_.
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_LOG_STORE_H_
