// SPLIT.labels, the byte of each token (common/token_labels.h): writing, counting, checking.
#ifndef CHERRY_CLIENT_DATA_LABEL_FILE_H_
#define CHERRY_CLIENT_DATA_LABEL_FILE_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cherry/v1/resources.pb.h"
#include "common/token_labels.h"

namespace cherry::client {

// Not thread-safe.
class LabelFileWriter {
 public:
  // Writes `prefix`.labels.
  static absl::StatusOr<std::unique_ptr<LabelFileWriter>> Create(const std::string& prefix);
  ~LabelFileWriter();
  LabelFileWriter(const LabelFileWriter&) = delete;
  LabelFileWriter& operator=(const LabelFileWriter&) = delete;

  absl::Status Add(absl::Span<const uint8_t> labels);
  // Syncs and closes; nothing is valid before.
  absl::Status Finish();

 private:
  LabelFileWriter(std::string path, FILE* file) : path_(std::move(path)), file_(file) {}
  const std::string path_;
  FILE* file_;
};

// Adds to the split's tokens of each category and of responses. Thread-safe.
void CountLabels(absl::Span<const uint8_t> labels, v1::Split* split);

// Counts and hashes the labels that lie beside ready-made tokens. `split` has its tokens already. Refuses
// another length (LABELS_MISMATCH) and bits that mean nothing here (LABELS_INVALID). Thread-safe.
absl::Status MeasureLabels(const std::string& prefix, v1::Split* split);

// Compares the file with what the split tells of it: a byte for each token, with `hash` every byte. A split
// without labels is fine. kDataLoss names the file. Thread-safe.
absl::Status CheckLabels(const std::string& prefix, const v1::Split& split, bool hash);

// Labels [begin, begin + count). Thread-safe.
absl::StatusOr<std::vector<uint8_t>> ReadLabels(const std::string& prefix, int64_t begin, int64_t count);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_LABEL_FILE_H_
