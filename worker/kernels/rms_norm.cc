#include "worker/kernels/rms_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "worker/kernels/rms_norm_kernel.h"

namespace cherry::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

RmsNormShape ShapeOf(const at::Tensor& x) { return {x.numel() / x.size(-1), x.size(-1)}; }

class CpuRmsNorm : public torch::autograd::Function<CpuRmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const at::Tensor rows = x.contiguous();
    const RmsNormShape shape = ShapeOf(rows);
    at::Tensor y = at::empty_like(rows);
    const at::Tensor scales = at::empty({shape.rows}, rows.options());
    RmsNormForward(shape, static_cast<float>(eps), rows.const_data_ptr<float>(),
                   weight.const_data_ptr<float>(), y.mutable_data_ptr<float>(),
                   scales.mutable_data_ptr<float>());
    context->save_for_backward({rows, weight, scales});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor dx = at::empty_like(saved[0]);
    const at::Tensor dweight = at::empty_like(saved[1]);
    RmsNormBackward(ShapeOf(saved[0]), saved[0].const_data_ptr<float>(), saved[1].const_data_ptr<float>(),
                    saved[2].const_data_ptr<float>(), dy.const_data_ptr<float>(),
                    dx.mutable_data_ptr<float>(), dweight.mutable_data_ptr<float>());
    return {dx, dweight, at::Tensor()};
  }
};

}  // namespace

at::Tensor PlainRmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor x32 = x.to(at::kFloat);
  const at::Tensor scale = at::rsqrt(x32.pow(2).mean(-1, /*keepdim=*/true) + eps);
  return (x32 * scale * weight).to(x.scalar_type());
}

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (x.is_cpu() && x.scalar_type() == at::kFloat) {
    return CpuRmsNorm::apply(x, weight, eps);
  }
  if (x.is_cuda()) {
    return std::get<0>(at::_fused_rms_norm(x, weight.sizes(), weight.to(x.scalar_type()), eps));
  }
  return PlainRmsNorm(x, weight, eps);
}

}  // namespace cherry::trainer
