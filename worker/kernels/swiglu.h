// The gate of a SwiGLU feed-forward layer (Shazeer, 2020). Thread-safe; differentiable once.
#ifndef CHERRY_WORKER_KERNELS_SWIGLU_H_
#define CHERRY_WORKER_KERNELS_SWIGLU_H_

#include <ATen/core/Tensor.h>

namespace cherry::trainer {

// gate, up [..., f] -> silu(gate) * up [..., f].
at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up);

// The same as a composition of ATen operators: the oracle, and what runs where there is no own kernel.
at::Tensor PlainSwiGlu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_SWIGLU_H_
