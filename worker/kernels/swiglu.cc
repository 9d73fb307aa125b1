#include "worker/kernels/swiglu.h"

#include <ATen/ATen.h>

namespace cherry::trainer {

at::Tensor PlainSwiGlu(const at::Tensor& gate, const at::Tensor& up) { return at::silu(gate) * up; }

at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up) { return PlainSwiGlu(gate, up); }

}  // namespace cherry::trainer
