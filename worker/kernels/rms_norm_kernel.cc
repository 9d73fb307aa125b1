#include "worker/kernels/rms_norm_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "worker/kernels/simd.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kRows = 64;  // Rows whose weight gradients are summed together: fixes the order of the sum.

CHERRY_SIMD void ForwardRows(int64_t rows, int64_t width, float eps, const float* x, const float* weight,
                             float* y, float* scales) {
  for (int64_t row = 0; row < rows; ++row, x += width, y += width) {
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) {
      sum += x[i] * x[i];
    }
    const float scale = 1.0F / std::sqrt(sum / static_cast<float>(width) + eps);
    scales[row] = scale;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      y[i] = x[i] * scale * weight[i];
    }
  }
}

CHERRY_SIMD void BackwardRows(int64_t rows, int64_t width, const float* x, const float* weight,
                              const float* scales, const float* dy, float* dx, float* dweight) {
  for (int64_t row = 0; row < rows; ++row, x += width, dy += width, dx += width) {
    const float scale = scales[row];
    float dot = 0.0F;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < width; ++i) {
      dot += dy[i] * weight[i] * x[i];
    }
    const float pull = dot * scale * scale * scale / static_cast<float>(width);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      dx[i] = dy[i] * weight[i] * scale - x[i] * pull;
      dweight[i] += dy[i] * x[i] * scale;
    }
  }
}

}  // namespace

void RmsNormForward(RmsNormShape shape, float eps, const float* x, const float* weight, float* y,
                    float* scales) {
  const int64_t blocks = (shape.rows + kRows - 1) / kRows;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row = block * kRows;
    ForwardRows(std::min(kRows, shape.rows - row), shape.width, eps, x + row * shape.width, weight,
                y + row * shape.width, scales + row);
  }
}

void RmsNormBackward(RmsNormShape shape, const float* x, const float* weight, const float* scales,
                     const float* dy, float* dx, float* dweight) {
  const int64_t blocks = (shape.rows + kRows - 1) / kRows;
  std::vector<float> parts(static_cast<size_t>(blocks * shape.width), 0.0F);
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row = block * kRows;
    const int64_t offset = row * shape.width;
    BackwardRows(std::min(kRows, shape.rows - row), shape.width, x + offset, weight, scales + row,
                 dy + offset, dx + offset, parts.data() + block * shape.width);
  }
  std::fill(dweight, dweight + shape.width, 0.0F);
  for (int64_t block = 0; block < blocks; ++block) {
    const float* part = parts.data() + block * shape.width;
    for (int64_t i = 0; i < shape.width; ++i) {
      dweight[i] += part[i];
    }
  }
}

}  // namespace cherry::trainer
