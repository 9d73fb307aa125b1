#include "worker/kernels/head_kl.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdint>

namespace cherry::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kKlElements = int64_t{1} << 21;

// Sums are taken in fp32, or in double for tests that compare with finite differences.
at::ScalarType SumType(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

at::Tensor LogProbabilities(const at::Tensor& hidden, const at::Tensor& weight, double temperature) {
  return at::_log_softmax(at::mm(hidden, weight.t()).to(SumType(hidden)) / temperature, 1,
                          /*half_to_float=*/false);
}

class HeadKlFunction : public torch::autograd::Function<HeadKlFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                            const at::Tensor& origin_hidden, const at::Tensor& origin_weight,
                            double temperature, bool differentiable) {
    const int64_t rows = hidden.size(0);
    const int64_t chunk = std::max<int64_t>(1, kKlElements / weight.size(0));
    at::Tensor sum = at::zeros({}, hidden.options().dtype(at::kDouble));
    at::Tensor dhidden, dweight;
    if (differentiable) {
      dhidden = at::empty_like(hidden);
      dweight = at::zeros_like(weight, SumType(weight));
    }
    for (int64_t row = 0; row < rows; row += chunk) {
      const int64_t count = std::min(chunk, rows - row);
      const at::Tensor input = hidden.narrow(0, row, count);
      const at::Tensor log_q = LogProbabilities(input, weight, temperature);
      const at::Tensor log_p =
          LogProbabilities(origin_hidden.narrow(0, row, count), origin_weight, temperature);
      const at::Tensor p = log_p.exp();
      sum += (p * (log_p - log_q)).sum(at::kDouble);
      if (differentiable) {
        const at::Tensor dlogits = log_q.exp().sub_(p).div_(temperature).to(hidden.scalar_type());
        dhidden.narrow(0, row, count).copy_(at::mm(dlogits, weight));
        dweight += at::mm(dlogits.t(), input);
      }
    }
    if (differentiable) {
      context->save_for_backward({dhidden, dweight.to(weight.scalar_type())});
    }
    return sum.to(SumType(hidden));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor factor = gradients[0].to(saved[0].scalar_type());
    return {saved[0] * factor, saved[1] * factor, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor HeadKl(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& origin_hidden,
                  const at::Tensor& origin_weight, double temperature) {
  const bool differentiable =
      at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  return HeadKlFunction::apply(hidden, weight, origin_hidden, origin_weight, temperature, differentiable);
}

}  // namespace cherry::trainer
