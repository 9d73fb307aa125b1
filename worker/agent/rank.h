// The names that every part of the agent uses for a rank and for how its process ended.
//
// Plain values; thread-compatible.
#ifndef CHERRY_WORKER_AGENT_RANK_H_
#define CHERRY_WORKER_AGENT_RANK_H_

#include <cstdint>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "cherry/v1/worker.pb.h"

namespace cherry::worker {

struct AttemptKey {
  std::string job_uid;
  int64_t epoch = 0;

  friend bool operator<(const AttemptKey& a, const AttemptKey& b) {
    return std::tie(a.job_uid, a.epoch) < std::tie(b.job_uid, b.epoch);
  }
  friend bool operator==(const AttemptKey& a, const AttemptKey& b) {
    return a.job_uid == b.job_uid && a.epoch == b.epoch;
  }
};

inline AttemptKey KeyOf(const v1::AttemptRef& ref) { return {ref.job_uid(), ref.epoch()}; }

inline v1::AttemptRef RefOf(const AttemptKey& key) {
  v1::AttemptRef ref;
  ref.set_job_uid(key.job_uid);
  ref.set_epoch(key.epoch);
  return ref;
}

struct RankKey {
  AttemptKey attempt;
  int rank = 0;

  friend bool operator<(const RankKey& a, const RankKey& b) {
    return std::tie(a.attempt, a.rank) < std::tie(b.attempt, b.rank);
  }
  friend bool operator==(const RankKey& a, const RankKey& b) {
    return a.attempt == b.attempt && a.rank == b.rank;
  }
  // "UID/epoch-2/rank-0", for logs and file names.
  std::string ToString() const {
    return absl::StrCat(attempt.job_uid, "/epoch-", attempt.epoch, "/rank-", rank);
  }
};

// How a rank's process ended, as the operating system saw it. Its whole process group is reaped by then.
struct RankExit {
  bool signalled = false;
  int code = 0;               // When not signalled.
  int signal = 0;             // When signalled.
  bool oom_evidence = false;  // The cgroup or the kernel counted an out-of-memory kill for it.
  std::string last_error;     // Last line of its log that tells of an error, else the last line.
  int64_t log_bytes = 0;      // Size of its log, which is closed.
  std::string start_error;    // The program could not be started at all: why.
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_RANK_H_
