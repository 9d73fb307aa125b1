// Products of row-major fp32 matrices on raw memory, by the BLAS that LibTorch carries. Thread-safe.
#ifndef CHERRY_WORKER_KERNELS_GEMM_H_
#define CHERRY_WORKER_KERNELS_GEMM_H_

#include <cstdint>

namespace cherry::trainer {

struct MatrixView {
  const float* data = nullptr;
  int64_t stride = 0;       // Elements from one row to the next.
  bool transposed = false;  // Take it as its transpose.
};

// c [m, n] = a [m, k] b [k, n] + beta c. Inside an OpenMP region it runs on the calling thread alone.
void Gemm(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, float beta, float* c,
          int64_t c_stride);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_GEMM_H_
