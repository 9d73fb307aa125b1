// The loops of SwiGLU on raw fp32 memory. Results do not depend on the number of threads.
#ifndef CHERRY_WORKER_KERNELS_SWIGLU_KERNEL_H_
#define CHERRY_WORKER_KERNELS_SWIGLU_KERNEL_H_

#include <cstdint>

namespace cherry::trainer {

// y = silu(gate) * up.
void SwiGluForward(int64_t count, const float* gate, const float* up, float* y);

// dgate and dup are overwritten.
void SwiGluBackward(int64_t count, const float* gate, const float* up, const float* dy, float* dgate,
                    float* dup);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_SWIGLU_KERNEL_H_
