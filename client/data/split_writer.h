// Writes the files of one split and counts what the manifest tells of it.
//
// Not thread-safe.
#ifndef CHERRY_CLIENT_DATA_SPLIT_WRITER_H_
#define CHERRY_CLIENT_DATA_SPLIT_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "cherry/v1/resources.pb.h"
#include "client/data/label_file.h"
#include "common/token_file.h"

namespace cherry::client {

// Nats per token of a text whose tokens have these counts; 0 without tokens.
double UnigramEntropy(const std::vector<int64_t>& counts);

// 2 where every token of a vocabulary fits into 16 bits, else 4.
int BytesPerToken(int64_t vocab);

class SplitWriter {
 public:
  // Writes `directory`/`name`.bin and .idx, and .labels where the split is `labelled`.
  static absl::StatusOr<std::unique_ptr<SplitWriter>> Create(const std::string& directory,
                                                             const std::string& name, int64_t vocab,
                                                             bool labelled);

  // The tokens of a document, its end of text included, and the label of each (common/token_labels.h);
  // `labels` is not looked at where the split is not labelled. A token outside of the vocabulary is
  // kOutOfRange. REQUIRES: as many labels as tokens in a labelled split.
  absl::Status Add(absl::Span<const int32_t> tokens, absl::Span<const uint8_t> labels);
  // Syncs the files and reads them back for their hashes.
  absl::StatusOr<v1::Split> Finish();

 private:
  SplitWriter(std::unique_ptr<TokenFileWriter> files, std::unique_ptr<LabelFileWriter> labels,
              std::string prefix, std::string name, int64_t vocab);
  std::unique_ptr<TokenFileWriter> files_;
  std::unique_ptr<LabelFileWriter> labels_;  // Null without labels.
  const std::string prefix_;
  v1::Split split_;
  std::vector<int64_t> counts_;
};

// The split that ready-made token files make, `prefix` without .bin and .idx: counts, hashes, entropy.
// Labels are taken along where `prefix`.labels is there. Refuses tokens outside of the vocabulary, and labels
// that do not belong to them.
absl::StatusOr<v1::Split> MeasureSplit(const std::string& prefix, const std::string& name, int64_t vocab);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_SPLIT_WRITER_H_
