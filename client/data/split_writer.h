// Writes the token files of one split and counts what the manifest tells of it.
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
#include "common/token_file.h"

namespace cherry::client {

// Nats per token of a text whose tokens have these counts; 0 without tokens.
double UnigramEntropy(const std::vector<int64_t>& counts);

// 2 where every token of a vocabulary fits into 16 bits, else 4.
int BytesPerToken(int64_t vocab);

class SplitWriter {
 public:
  // Writes `directory`/`name`.bin and .idx.
  static absl::StatusOr<std::unique_ptr<SplitWriter>> Create(const std::string& directory,
                                                             const std::string& name, int64_t vocab);

  // A token outside of the vocabulary is kOutOfRange.
  absl::Status Add(absl::Span<const int32_t> document);
  // Syncs the files and reads them back for their hashes.
  absl::StatusOr<v1::Split> Finish();

 private:
  SplitWriter(std::unique_ptr<TokenFileWriter> files, std::string prefix, std::string name, int64_t vocab);
  std::unique_ptr<TokenFileWriter> files_;
  const std::string prefix_;
  v1::Split split_;
  std::vector<int64_t> counts_;
};

// The split that ready-made token files make, `prefix` without .bin and .idx: counts, hashes, entropy.
// Refuses tokens outside of the vocabulary.
absl::StatusOr<v1::Split> MeasureSplit(const std::string& prefix, const std::string& name, int64_t vocab);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_SPLIT_WRITER_H_
