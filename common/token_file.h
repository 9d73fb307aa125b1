// Tokenised documents in Megatron's indexed layout, so that existing corpora load.
//
// NAME.bin: the tokens of all documents, one after another, little endian, 2 (uint16) or 4 (int32) bytes
// each. NAME.idx: "MMIDIDX\0\0", version 1 (u64), dtype code (u8: 4 = int32, 8 = uint16), number of sequences
// (u64), number of document bounds (u64), then int32 lengths[sequences], int64 byte offsets[sequences],
// int64 document bounds[documents + 1], which count sequences.
#ifndef CHERRY_COMMON_TOKEN_FILE_H_
#define CHERRY_COMMON_TOKEN_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace cherry {

// Writes both files; one sequence per document. Not thread-safe.
class TokenFileWriter {
 public:
  // `bytes_per_token` 2 or 4. `prefix` without .bin and .idx.
  static absl::StatusOr<std::unique_ptr<TokenFileWriter>> Create(const std::string& prefix,
                                                                 int bytes_per_token);
  virtual ~TokenFileWriter() = default;
  // OUT_OF_RANGE for a token that does not fit.
  virtual absl::Status Add(absl::Span<const int32_t> document) = 0;
  // Syncs and closes both; nothing is valid before.
  virtual absl::Status Finish() = 0;
};

// A read-only memory map. Thread-safe after Open.
class TokenFile {
 public:
  // Checks the index against the length of the .bin: a truncated file is kDataLoss naming it.
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(const std::string& prefix);
  ~TokenFile();
  TokenFile(const TokenFile&) = delete;
  TokenFile& operator=(const TokenFile&) = delete;

  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return documents_; }
  int bytes_per_token() const { return bytes_per_token_; }
  int64_t document_length(int64_t document) const;

  // Copies tokens [begin, begin + out.size()) of the concatenation of all documents.
  // REQUIRES: 0 <= begin and begin + out.size() <= tokens().
  void Read(int64_t begin, absl::Span<int32_t> out) const;
  // The same as int64, as an embedding wants them.
  void Read(int64_t begin, absl::Span<int64_t> out) const;
  // First token of a document in the concatenation.
  int64_t document_begin(int64_t document) const;

 private:
  TokenFile() = default;
  absl::Status ReadHeader(const std::string& prefix);
  absl::Status CheckIndex(const std::string& prefix);
  template <typename T>
  void Copy(int64_t begin, absl::Span<T> out) const;

  struct Map;
  std::unique_ptr<Map> bin_;
  std::unique_ptr<Map> idx_;
  int64_t tokens_ = 0;
  int64_t sequences_ = 0;
  int64_t documents_ = 0;
  int bytes_per_token_ = 0;
  // Into idx_, not aligned.
  const char* lengths_ = nullptr;
  const char* offsets_ = nullptr;
  const char* bounds_ = nullptr;
};

}  // namespace cherry

#endif  // CHERRY_COMMON_TOKEN_FILE_H_
