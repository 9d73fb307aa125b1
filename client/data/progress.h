// What a long command shows while it runs: a bar on a terminal, one line per finished phase elsewhere.
//
// Not thread-safe.
#ifndef CHERRY_CLIENT_DATA_PROGRESS_H_
#define CHERRY_CLIENT_DATA_PROGRESS_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cherry::client {

class Progress {
 public:
  // `out` is not owned; null shows nothing.
  Progress(std::ostream* out, bool terminal) : out_(out), terminal_(terminal) {}

  // `total` in the unit of Update; 0 where it is not known.
  void Begin(absl::string_view phase, int64_t total);
  // Redraws at most ten times a second.
  void Update(int64_t done);
  // "encode     3,120 documents, 812,345 tokens       1.2 s"
  void End(absl::string_view summary);

 private:
  std::ostream* const out_;
  const bool terminal_;
  std::string phase_;
  int64_t total_ = 0;
  absl::Time start_;
  absl::Time drawn_;
};

// 1234567 -> "1,234,567"
std::string Grouped(int64_t value);
// 1234567 -> "1.2 MB"; powers of 1000.
std::string HumanBytes(int64_t bytes);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_PROGRESS_H_
