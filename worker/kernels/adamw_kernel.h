// The loops of AdamW on raw fp32 memory. Thread-safe on disjoint ranges; results do not depend on the number
// of threads.
#ifndef CHERRY_WORKER_KERNELS_ADAMW_KERNEL_H_
#define CHERRY_WORKER_KERNELS_ADAMW_KERNEL_H_

#include <cstdint>

namespace cherry::trainer {

// Sum of squares in double, in an order fixed by `count` alone.
double SquaredSum(const float* values, int64_t count);

struct AdamWStep {
  float gradient_scale = 1.0F;   // Applied to each gradient first: clipping and normalisation.
  float keep = 1.0F;             // 1 - learning rate * weight decay.
  float rate = 0.0F;             // Learning rate / (1 - beta1^step).
  float root_correction = 1.0F;  // sqrt(1 - beta2^step).
  float beta2 = 0.95F;
  float one_minus_beta1 = 0.1F;
  float one_minus_beta2 = 0.05F;
  float eps = 1e-8F;
};

// One update of `count` parameters and their moments. Gradients are only read.
void ApplyAdamW(const AdamWStep& step, int64_t count, const float* gradients, float* values, float* exp_avg,
                float* exp_avg_sq);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_ADAMW_KERNEL_H_
