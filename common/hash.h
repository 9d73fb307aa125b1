// Checksums of files and buffers: XXH3, 128 bits, as 32 hex digits.
#ifndef CHERRY_COMMON_HASH_H_
#define CHERRY_COMMON_HASH_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry {

// Not thread-safe.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  void Update(const void* data, size_t size);
  std::string Hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Thread-safe.
std::string HashBytes(absl::string_view bytes);

// Reads the whole file. Thread-safe.
absl::StatusOr<std::string> HashFile(const std::string& path);

}  // namespace cherry

#endif  // CHERRY_COMMON_HASH_H_
