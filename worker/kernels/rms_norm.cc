#include "worker/kernels/rms_norm.h"

#include <ATen/ATen.h>

namespace cherry::trainer {

at::Tensor PlainRmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor x32 = x.to(at::kFloat);
  const at::Tensor scale = at::rsqrt(x32.pow(2).mean(-1, /*keepdim=*/true) + eps);
  return (x32 * scale * weight).to(x.scalar_type());
}

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return PlainRmsNorm(x, weight, eps);
}

}  // namespace cherry::trainer
