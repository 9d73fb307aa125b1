#include "worker/kernels/cross_entropy_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "worker/kernels/simd.h"
#include "worker/kernels/vector_math.h"

namespace cherry::trainer {
namespace {

CHERRY_SIMD double SoftmaxLossOfRow(int64_t vocab, int64_t target, float* row) {
  if (target < 0) {
    std::fill(row, row + vocab, 0.0F);
    return 0.0;
  }
  float largest = row[0];
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < vocab; ++i) {
    largest = row[i] > largest ? row[i] : largest;
  }
  // A logit that is not a number may slip through the maximum, but not through the sum below.
  const float of_target = row[target] - largest;
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < vocab; ++i) {
    row[i] = FastExp(row[i] - largest);
    sum += row[i];
  }
  const float scale = 1.0F / sum;
#pragma omp simd
  for (int64_t i = 0; i < vocab; ++i) {
    row[i] *= scale;
  }
  row[target] -= 1.0F;
  return std::log(static_cast<double>(sum)) - static_cast<double>(of_target);
}

}  // namespace

double SoftmaxLossInPlace(int64_t rows, int64_t vocab, const int64_t* targets, float* logits) {
  std::vector<double> losses(static_cast<size_t>(rows));
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    losses[static_cast<size_t>(row)] = SoftmaxLossOfRow(vocab, targets[row], logits + row * vocab);
  }
  double sum = 0.0;
  for (const double loss : losses) {
    sum += loss;
  }
  return sum;
}

}  // namespace cherry::trainer
