// 16-bit floating point numbers as stored weights have them, widened exactly. Thread-safe.
#ifndef CHERRY_COMMON_HALF_H_
#define CHERRY_COMMON_HALF_H_

#include <cmath>
#include <cstdint>
#include <cstring>

namespace cherry {

// The upper half of a float.
inline float FromBfloat16(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

// IEEE 754 binary16: 1 sign bit, 5 of exponent, 10 of fraction.
inline float FromFloat16(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F;
  const int fraction = bits & 0x3FF;
  float value = 0.0F;
  if (exponent == 0x1F) {
    value = fraction == 0 ? HUGE_VALF : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    value = std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

}  // namespace cherry

#endif  // CHERRY_COMMON_HALF_H_
