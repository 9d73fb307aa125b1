// Root mean square normalisation (Zhang and Sennrich, 2019). Thread-safe; differentiable once.
#ifndef CHERRY_WORKER_KERNELS_RMS_NORM_H_
#define CHERRY_WORKER_KERNELS_RMS_NORM_H_

#include <ATen/core/Tensor.h>

namespace cherry::trainer {

// x [..., d], weight [d] -> x / sqrt(mean(x^2) + eps) * weight, computed in fp32, of the type of x. On a GPU
// the weight is rounded to that type first, as LibTorch's fused operator asks.
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

// The same as a composition of ATen operators: the oracle, and what runs elsewhere.
at::Tensor PlainRmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_RMS_NORM_H_
