// Keys of the store: big-endian numbers, so that byte order is number order. Strings in keys (uids, names of
// series) never hold a zero byte, which ends them.
//
// Pure functions, thread-safe.
#ifndef CHERRY_COORDINATOR_STORE_KEYS_H_
#define CHERRY_COORDINATOR_STORE_KEYS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace cherry::coordinator {

inline std::string NumberKey(int64_t number) {
  // The sign bit is turned, so that negative numbers come first.
  const uint64_t bits = static_cast<uint64_t>(number) ^ (uint64_t{1} << 63);
  std::string key(8, '\0');
  for (int i = 0; i < 8; ++i) {
    key[i] = static_cast<char>(bits >> (56 - 8 * i));
  }
  return key;
}

// REQUIRES: key.size() >= 8. Reads its last eight bytes.
inline int64_t LastNumber(absl::string_view key) {
  uint64_t bits = 0;
  for (const char c : key.substr(key.size() - 8)) {
    bits = bits << 8 | static_cast<unsigned char>(c);
  }
  return static_cast<int64_t>(bits ^ (uint64_t{1} << 63));
}

inline std::string StringKey(absl::string_view text) { return std::string(text) + '\0'; }

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_STORE_KEYS_H_
