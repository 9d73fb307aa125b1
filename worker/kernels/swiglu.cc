#include "worker/kernels/swiglu.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "worker/kernels/swiglu_kernel.h"

namespace cherry::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class CpuSwiGlu : public torch::autograd::Function<CpuSwiGlu> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    const at::Tensor g = gate.contiguous(), u = up.contiguous();
    at::Tensor y = at::empty_like(g);
    SwiGluForward(g.numel(), g.const_data_ptr<float>(), u.const_data_ptr<float>(),
                  y.mutable_data_ptr<float>());
    context->save_for_backward({g, u});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor dgate = at::empty_like(saved[0]), dup = at::empty_like(saved[1]);
    SwiGluBackward(dy.numel(), saved[0].const_data_ptr<float>(), saved[1].const_data_ptr<float>(),
                   dy.const_data_ptr<float>(), dgate.mutable_data_ptr<float>(),
                   dup.mutable_data_ptr<float>());
    return {dgate, dup};
  }
};

}  // namespace

at::Tensor PlainSwiGlu(const at::Tensor& gate, const at::Tensor& up) { return at::silu(gate) * up; }

at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up) {
  if (gate.is_cpu() && gate.scalar_type() == at::kFloat) {
    return CpuSwiGlu::apply(gate, up);
  }
  return PlainSwiGlu(gate, up);
}

}  // namespace cherry::trainer
