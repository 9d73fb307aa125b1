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

  ~TokenWindows();
  TokenWindows(const TokenWindows&) = delete;
  TokenWindows& operator=(const TokenWindows&) = delete;

  // Opens SPLIT.labels too; before CheckHashes. LABELS_MISSING where the split has none, errors as Open's.
  absl::Status OpenLabels();
  // Whether the split was registered with labels.
  bool offers_labels() const { return !split_.labels_hash().empty(); }
  bool has_labels() const { return labels_fd_ >= 0; }

  int64_t size() const { return windows_; }
  int64_t sequence_length() const { return sequence_length_; }
  // REQUIRES: 0 <= window < size(), out.size() == sequence_length() + 1.
  void Read(int64_t window, absl::Span<int64_t> out) const;
  // The labels of the same tokens. REQUIRES: has_labels(). kDataLoss when the file cannot be read.
  absl::Status ReadLabels(int64_t window, absl::Span<uint8_t> out) const;

  // Reads the files that are open whole and compares them with the hashes they were registered with.
  absl::Status CheckHashes() const;

 private:
  TokenWindows() = default;
  std::string prefix_;
  std::string field_;
  v1::Split split_;
  std::unique_ptr<TokenFile> file_;
  int64_t sequence_length_ = 0;
  int64_t windows_ = 0;
  int labels_fd_ = -1;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_DATA_DATASET_H_
