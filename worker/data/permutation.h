// A pseudo-random permutation of 0..n-1 that is computed where it is asked for: no table, no state.
#ifndef CHERRY_WORKER_DATA_PERMUTATION_H_
#define CHERRY_WORKER_DATA_PERMUTATION_H_

#include <array>
#include <cstdint>

namespace cherry::trainer {

// A Feistel network over the smallest even number of bits that holds n, walked until it lands below n: on
// average less than four steps. Immutable and thread-safe. The same on every machine, for ever: checkpoints
// store only how many samples have been taken.
class Permutation {
 public:
  // REQUIRES: n >= 1.
  Permutation(uint64_t n, uint64_t key);

  // REQUIRES: index < n.
  uint64_t At(uint64_t index) const;

 private:
  static constexpr int kRounds = 8;
  uint64_t Encrypt(uint64_t value) const;

  uint64_t n_;
  int half_bits_;
  uint64_t half_mask_;
  std::array<uint64_t, kRounds> keys_;
};

// Sample number `sample` of an endless run over `windows` windows: each epoch takes every window once, in an
// order of its own that `seed` fixes. REQUIRES: sample >= 0, windows >= 1.
int64_t WindowOfSample(int64_t sample, int64_t windows, int64_t seed);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_DATA_PERMUTATION_H_
