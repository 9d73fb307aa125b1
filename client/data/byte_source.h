// The bytes of a file, unpacked where its name ends in .gz or .zst.
//
// Not thread-safe.
#ifndef CHERRY_CLIENT_DATA_BYTE_SOURCE_H_
#define CHERRY_CLIENT_DATA_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace cherry::client {

class ByteSource {
 public:
  static absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path);
  virtual ~ByteSource() = default;

  // Up to as many bytes as `out` holds; 0 at the end alone. INPUT_INVALID for a packed file that is damaged
  // or ends early, naming it.
  virtual absl::StatusOr<size_t> Read(absl::Span<char> out) = 0;
};

// The name without .gz or .zst.
absl::string_view UnpackedName(absl::string_view path);

// All of it; OUT_OF_RANGE beyond `most` bytes.
absl::StatusOr<std::string> ReadAll(ByteSource* source, int64_t most);

// Line by line. The last may lack its end.
class LineReader {
 public:
  explicit LineReader(ByteSource* source) : source_(source) {}

  // The next line with its end, or as much of it as is longer than `most` bytes; empty after the last. Valid
  // until the next call.
  absl::StatusOr<absl::string_view> Next(size_t most);

 private:
  ByteSource* const source_;
  std::string buffer_;
  size_t begin_ = 0;
  bool ended_ = false;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_BYTE_SOURCE_H_
