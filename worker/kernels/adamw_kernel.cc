#include "worker/kernels/adamw_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "worker/kernels/simd.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kBlock = 16384;  // Elements a thread takes at a time.

CHERRY_SIMD double BlockSquaredSum(const float* values, int64_t count) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return sum;
}

CHERRY_SIMD void BlockAdamW(const AdamWStep& step, int64_t count, const float* gradients, float* values,
                            float* exp_avg, float* exp_avg_sq) {
  const AdamWStep s = step;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float gradient = gradients[i] * s.gradient_scale;
    const float mean = exp_avg[i] + s.one_minus_beta1 * (gradient - exp_avg[i]);
    const float square = exp_avg_sq[i] * s.beta2 + s.one_minus_beta2 * gradient * gradient;
    exp_avg[i] = mean;
    exp_avg_sq[i] = square;
    const float denominator = std::sqrt(square) / s.root_correction + s.eps;
    values[i] = values[i] * s.keep - s.rate * mean / denominator;
  }
}

}  // namespace

double SquaredSum(const float* values, int64_t count) {
  const int64_t blocks = (count + kBlock - 1) / kBlock;
  std::vector<double> sums(static_cast<size_t>(blocks));
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = block * kBlock;
    sums[static_cast<size_t>(block)] = BlockSquaredSum(values + begin, std::min(kBlock, count - begin));
  }
  double sum = 0.0;
  for (const double part : sums) {
    sum += part;
  }
  return sum;
}

void ApplyAdamW(const AdamWStep& step, int64_t count, const float* gradients, float* values, float* exp_avg,
                float* exp_avg_sq) {
  const int64_t blocks = (count + kBlock - 1) / kBlock;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = block * kBlock;
    BlockAdamW(step, std::min(kBlock, count - begin), gradients + begin, values + begin, exp_avg + begin,
               exp_avg_sq + begin);
  }
}

}  // namespace cherry::trainer
