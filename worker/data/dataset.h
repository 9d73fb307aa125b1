// A split of a registered dataset as fixed windows of tokens.
//
// Window w holds the tokens w * sequence_length .. (w + 1) * sequence_length of the concatenated documents:
// one more than a sequence, so that each of its tokens has a target; neighbours share that one.
#ifndef CHERRY_WORKER_DATA_DATASET_H_
#define CHERRY_WORKER_DATA_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "cherry/v1/resources.pb.h"
#include "common/token_file.h"

namespace cherry::trainer {

// Thread-safe.
class TokenWindows {
 public:
  // Opens `data_root`/PATH/SPLIT for a reference "NAME/SPLIT" to `dataset`. Errors name `field` (data.train
  // or data.valid), the file and the remedy: a split that is not there, a file that is truncated or has
  // another length than when it was registered, fewer tokens than one window.
  static absl::StatusOr<std::unique_ptr<TokenWindows>> Open(const std::string& data_root,
                                                            const v1::Dataset& dataset,
                                                            const std::string& reference,
                                                            absl::string_view field, int64_t sequence_length);

  int64_t size() const { return windows_; }
  int64_t sequence_length() const { return sequence_length_; }
  // REQUIRES: 0 <= window < size(), out.size() == sequence_length() + 1.
  void Read(int64_t window, absl::Span<int64_t> out) const;

  // Reads both files whole and compares them with the hashes they were registered with.
  absl::Status CheckHashes() const;

 private:
  TokenWindows() = default;
  std::string prefix_;
  std::string field_;
  v1::Split split_;
  std::unique_ptr<TokenFile> file_;
  int64_t sequence_length_ = 0;
  int64_t windows_ = 0;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_DATA_DATASET_H_
