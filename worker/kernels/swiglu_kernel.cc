#include "worker/kernels/swiglu_kernel.h"

#include <algorithm>

#include "worker/kernels/simd.h"
#include "worker/kernels/vector_math.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kBlock = 8192;  // Elements a thread takes at a time.

CHERRY_SIMD void ForwardBlock(int64_t count, const float* gate, const float* up, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    y[i] = gate[i] * Sigmoid(gate[i]) * up[i];
  }
}

CHERRY_SIMD void BackwardBlock(int64_t count, const float* gate, const float* up, const float* dy,
                               float* dgate, float* dup) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float sigmoid = Sigmoid(gate[i]);
    const float silu = gate[i] * sigmoid;
    dup[i] = dy[i] * silu;
    dgate[i] = dy[i] * up[i] * (sigmoid + silu * (1.0F - sigmoid));
  }
}

}  // namespace

void SwiGluForward(int64_t count, const float* gate, const float* up, float* y) {
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    ForwardBlock(std::min(kBlock, count - begin), gate + begin, up + begin, y + begin);
  }
}

void SwiGluBackward(int64_t count, const float* gate, const float* up, const float* dy, float* dgate,
                    float* dup) {
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    BackwardBlock(std::min(kBlock, count - begin), gate + begin, up + begin, dy + begin, dgate + begin,
                  dup + begin);
  }
}

}  // namespace cherry::trainer
