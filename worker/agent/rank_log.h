// A rank's standard output and error, kept in a file until the coordinator has it.
//
// The file holds the first bytes up to a bound; of what comes after, only the end is kept, and appended
// with a line that tells how much is left out when the log is closed. So offsets never move and the last
// words of a rank are always there. Thread-safe.
#ifndef CHERRY_WORKER_AGENT_RANK_LOG_H_
#define CHERRY_WORKER_AGENT_RANK_LOG_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::worker {

class RankLog {
 public:
  static constexpr int64_t kMaxBytes = 16 << 20;
  static constexpr int64_t kTailBytes = 64 << 10;

  // Creates the file and its directories; goes on at the end of a file that is there.
  static absl::StatusOr<std::unique_ptr<RankLog>> Open(const std::string& path,
                                                       int64_t max_bytes = kMaxBytes);
  ~RankLog();
  RankLog(const RankLog&) = delete;
  RankLog& operator=(const RankLog&) = delete;

  // What cannot be written (a full disk) is left out like what is beyond the bound.
  void Append(absl::string_view bytes);
  // Nothing comes after this.
  void Close();

  int64_t size() const;
  bool closed() const;
  // The last line that tells of an error, else the last line with anything on it; at most 400 bytes.
  std::string LastError() const;
  // At most `max` bytes from `offset`; empty at the end.
  absl::StatusOr<std::string> Read(int64_t offset, int64_t max) const;
  const std::string& path() const { return path_; }

 private:
  RankLog(std::string path, int fd, int64_t size, int64_t max_bytes)
      : path_(std::move(path)), fd_(fd), max_bytes_(max_bytes), size_(size) {}
  int64_t WriteLocked(absl::string_view bytes);
  void RememberLines(absl::string_view bytes);

  const std::string path_;
  const int fd_;
  const int64_t max_bytes_;
  mutable std::mutex mutex_;
  // Protected by mutex_:
  int64_t size_;
  bool closed_ = false;
  bool overflowed_ = false;
  int64_t left_out_ = 0;           // Bytes beyond the bound, those of tail_ included.
  std::string tail_;               // The end of what is left out.
  std::string partial_;            // The line that is being written.
  std::deque<std::string> lines_;  // The last ones.
};

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_RANK_LOG_H_
