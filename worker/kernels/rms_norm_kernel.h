// The loops of RMSNorm on raw fp32 memory; rows are contiguous. Results do not depend on the number of
// threads.
#ifndef CHERRY_WORKER_KERNELS_RMS_NORM_KERNEL_H_
#define CHERRY_WORKER_KERNELS_RMS_NORM_KERNEL_H_

#include <cstdint>

namespace cherry::trainer {

struct RmsNormShape {
  int64_t rows = 0;
  int64_t width = 0;
};

// y [rows, width]; scales [rows] receives 1 / sqrt(mean(x^2) + eps).
void RmsNormForward(RmsNormShape shape, float eps, const float* x, const float* weight, float* y,
                    float* scales);

// dx [rows, width] and dweight [width] are overwritten.
void RmsNormBackward(RmsNormShape shape, const float* x, const float* weight, const float* scales,
                     const float* dy, float* dx, float* dweight);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_RMS_NORM_KERNEL_H_
