// Elementary functions that compilers vectorise: no branches, no calls. Thread-safe.
#ifndef CHERRY_WORKER_KERNELS_VECTOR_MATH_H_
#define CHERRY_WORKER_KERNELS_VECTOR_MATH_H_

#include <bit>
#include <cstdint>

namespace cherry::trainer {

// exp(x) within 2 units in the last place for x in [-87, 88]; outside, as at the nearer end of that range.
[[gnu::always_inline]] inline float FastExp(float x) {
  // Written so that compilers see two minima and not control flow; passes on what is not a number.
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  // x = n ln 2 + r with |r| <= ln(2) / 2. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low
  // bits.
  constexpr float kRound = 12582912.0F;
  const float shifted = x * 1.44269504088896341F + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375F) - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const int32_t exponent = (std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound) + 127) << 23;
  return p * std::bit_cast<float>(exponent);
}

[[gnu::always_inline]] inline float Sigmoid(float x) { return 1.0F / (1.0F + FastExp(-x)); }

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_VECTOR_MATH_H_
