// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every input bit moves every output bit. What is
// drawn with it is the same on every machine, for ever: data order, initial weights and selections depend on
// it.
#ifndef CHERRY_COMMON_MIX_H_
#define CHERRY_COMMON_MIX_H_

#include <cstdint>

namespace cherry {

// The distance of two states of the generator: Mix64(seed), Mix64(seed + kMixStep), ... are its numbers.
inline constexpr uint64_t kMixStep = 0x9e3779b97f4a7c15;

inline uint64_t Mix64(uint64_t x) {
  x += kMixStep;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace cherry

#endif  // CHERRY_COMMON_MIX_H_
