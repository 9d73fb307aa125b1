#include "worker/data/permutation.h"

#include <algorithm>
#include <bit>

#include "common/mix.h"

namespace cherry::trainer {

Permutation::Permutation(uint64_t n, uint64_t key) : n_(n) {
  const int bits = std::max(2, static_cast<int>(std::bit_width(n - 1)));
  half_bits_ = (bits + 1) / 2;
  half_mask_ = (uint64_t{1} << half_bits_) - 1;
  for (uint64_t& round_key : keys_) {
    key = Mix64(key);
    round_key = key;
  }
}

uint64_t Permutation::Encrypt(uint64_t value) const {
  uint64_t left = value >> half_bits_;
  uint64_t right = value & half_mask_;
  for (const uint64_t key : keys_) {
    const uint64_t next = left ^ (Mix64(right ^ key) & half_mask_);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

uint64_t Permutation::At(uint64_t index) const {
  do {
    index = Encrypt(index);
  } while (index >= n_);
  return index;
}

int64_t WindowOfSample(int64_t sample, int64_t windows, int64_t seed) {
  const uint64_t n = static_cast<uint64_t>(windows);
  const uint64_t epoch = static_cast<uint64_t>(sample) / n;
  const Permutation order(n, Mix64(static_cast<uint64_t>(seed)) ^ Mix64(~epoch));
  return static_cast<int64_t>(order.At(static_cast<uint64_t>(sample) % n));
}

}  // namespace cherry::trainer
