#include "worker/kernels/gemm.h"

// Fortran's interface, exported by libtorch_cpu.so. Matrices are column-major.
extern "C" void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc);

namespace cherry::trainer {

void Gemm(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, float beta, float* c,
          int64_t c_stride) {
  // A row-major matrix is the transpose of a column-major one, and c^T = b^T a^T.
  const int rows = static_cast<int>(m), columns = static_cast<int>(n), inner = static_cast<int>(k);
  const int lda = static_cast<int>(a.stride), ldb = static_cast<int>(b.stride),
            ldc = static_cast<int>(c_stride);
  const float alpha = 1.0F;
  sgemm_(b.transposed ? "T" : "N", a.transposed ? "T" : "N", &columns, &rows, &inner, &alpha, b.data, &ldb,
         a.data, &lda, &beta, c, &ldc);
}

}  // namespace cherry::trainer
