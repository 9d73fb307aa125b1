// Random numbers that are the same on every machine: what the standard library's distributions and
// std::shuffle draw is left to each implementation, and a dataset's bytes must follow from its seed.
//
// Not thread-safe; a copy draws the same numbers again.
#ifndef CHERRY_CLIENT_DATA_RANDOM_H_
#define CHERRY_CLIENT_DATA_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/types/span.h"
#include "common/mix.h"

namespace cherry::client {

// SplitMix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    const uint64_t number = Mix64(state_);
    state_ += kMixStep;
    return number;
  }

  // Every number below `bound` is as likely as any other: draws that would favour the small ones are drawn
  // again. REQUIRES: bound >= 1.
  uint64_t Below(uint64_t bound) {
    const uint64_t unfair = -bound % bound;  // 2^64 mod bound
    uint64_t draw = Next();
    while (draw < unfair) {
      draw = Next();
    }
    return draw % bound;
  }

  // Fisher and Yates: every order is as likely as any other.
  template <typename T>
  void Shuffle(absl::Span<T> items) {
    for (size_t left = items.size(); left > 1; --left) {
      std::swap(items[left - 1], items[static_cast<size_t>(Below(left))]);
    }
  }

 private:
  uint64_t state_;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_RANDOM_H_
