#include "worker/kernels/normal_kernel.h"

#include <cmath>
#include <numbers>

#include "common/mix.h"

namespace cherry::trainer {
namespace {

// In (0, 1].
double Uniform(uint64_t bits) { return static_cast<double>((bits >> 11) + 1) * 0x1p-53; }

}  // namespace

uint64_t StreamKey(uint64_t seed, absl::string_view name) {
  uint64_t key = 0xcbf29ce484222325;  // FNV-1a of the name.
  for (const char c : name) {
    key = (key ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return Mix64(key ^ Mix64(seed));
}

void FillNormal(uint64_t key, double standard_deviation, int64_t count, float* out) {
  // Pairs of independent numbers by Box and Muller's transform.
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i += 2) {
    const uint64_t counter = key + static_cast<uint64_t>(i);
    const double radius = standard_deviation * std::sqrt(-2.0 * std::log(Uniform(Mix64(counter))));
    const double angle = 2.0 * std::numbers::pi * Uniform(Mix64(counter + 1));
    out[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) {
      out[i + 1] = static_cast<float>(radius * std::sin(angle));
    }
  }
}

}  // namespace cherry::trainer
