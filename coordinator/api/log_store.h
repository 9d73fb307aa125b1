// Logs of trainers as files: `DIRECTORY/NAMESPACE/JOB-UID/epoch-N/rank-R.log`, at most 16 MiB for each rank.
// The older half stays in `rank-R.log.BEGIN`, named by its first byte's offset, and goes when the next half
// is full.
#ifndef CHERRY_COORDINATOR_API_LOG_STORE_H_
#define CHERRY_COORDINATOR_API_LOG_STORE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::coordinator {

// One rank's log. Parts come from records, never from a request.
struct LogName {
  std::string ns;
  std::string uid;
  int64_t epoch = 0;
  int32_t rank = 0;
};

// Bytes [offset, offset + data.size()) of a log.
struct LogPiece {
  int64_t offset = 0;
  std::string data;
};

// Appends from one thread; reads are thread-safe.
class LogStore {
 public:
  explicit LogStore(std::string directory, int64_t most_bytes = int64_t{16} << 20)
      : directory_(std::move(directory)), half_(most_bytes / 2) {}

  // Adds what is new of `data`, which begins at `offset`, and returns how many bytes are kept from the log's
  // start: from there the sender goes on. A piece beyond that leaves a gap and is not taken.
  absl::StatusOr<int64_t> Append(const LogName& name, int64_t offset, absl::string_view data);

  // Bytes received so far.
  absl::StatusOr<int64_t> End(const LogName& name) const;

  // At most `limit` bytes from `offset` on, or from the first byte still kept; empty at the end.
  absl::StatusOr<LogPiece> Read(const LogName& name, int64_t offset, int64_t limit) const;

  // Where the last `lines` lines begin.
  absl::StatusOr<int64_t> TailOffset(const LogName& name, int64_t lines) const;

 private:
  struct Layout {
    std::string current;  // Path.
    std::string older;    // Path, empty when there is none.
    int64_t older_begin = 0;
    int64_t current_begin = 0;
    int64_t end = 0;
  };
  absl::StatusOr<Layout> Find(const LogName& name) const;

  const std::string directory_;
  const int64_t half_;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_LOG_STORE_H_
