#include "worker/kernels/cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "worker/kernels/cross_entropy_kernel.h"

namespace cherry::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kChunk = 512;  // Rows of logits that exist at a time.

void CheckTargets(const at::Tensor& targets, int64_t vocab) {
  const int64_t* values = targets.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < targets.numel(); ++i) {
    TORCH_CHECK_INDEX(values[i] == kIgnoredTarget || (values[i] >= 0 && values[i] < vocab), "target ",
                      values[i], " is not in 0..", vocab - 1);
  }
}

// Head and loss, chunk by chunk. Forward computes the gradients of the sum too, while a chunk's logits exist;
// backward only multiplies them.
class CpuHeadCrossEntropy : public torch::autograd::Function<CpuHeadCrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                            const at::Tensor& targets, bool differentiable) {
    const int64_t rows = hidden.size(0), vocab = weight.size(0);
    const at::Tensor logits = at::empty({std::min(kChunk, rows), vocab}, hidden.options());
    at::Tensor dhidden, dweight;
    if (differentiable) {
      dhidden = at::empty_like(hidden);
      dweight = rows > 0 ? at::empty_like(weight) : at::zeros_like(weight);
    }
    double sum = 0.0;
    for (int64_t row = 0; row < rows; row += kChunk) {
      const int64_t count = std::min(kChunk, rows - row);
      const at::Tensor input = hidden.narrow(0, row, count);
      at::Tensor chunk = logits.narrow(0, 0, count);
      at::mm_out(chunk, input, weight.t());
      sum += SoftmaxLossInPlace(count, vocab, targets.const_data_ptr<int64_t>() + row,
                                chunk.mutable_data_ptr<float>());
      if (differentiable) {
        at::Tensor part = dhidden.narrow(0, row, count);
        at::mm_out(part, chunk, weight);
        at::addmm_out(dweight, dweight, chunk.t(), input, /*beta=*/row == 0 ? 0.0 : 1.0);
      }
    }
    if (differentiable) {
      context->save_for_backward({dhidden, dweight});
    }
    return at::scalar_tensor(sum, hidden.options());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const float factor = *gradients[0].const_data_ptr<float>();
    if (factor == 1.0F) {
      return {saved[0], saved[1], at::Tensor(), at::Tensor()};
    }
    return {saved[0] * factor, saved[1] * factor, at::Tensor(), at::Tensor()};
  }
};

// The same on a GPU, and everywhere with factors for the rows, as operators. LibTorch's softmax gives the
// probabilities in the type of the logits, with sums in fp32; the loss is then the distance to the largest
// logit plus the log of 1 / its probability, which never underflows. In bf16 that is off by less than 0.004 a
// row, less than the rounding of the logits.
class PlainChunks : public torch::autograd::Function<PlainChunks> {
 public:
  // `factors` [rows, 1]: 0 where a target is ignored.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                            const at::Tensor& targets, const at::Tensor& factors, bool differentiable) {
    const int64_t rows = hidden.size(0), chunk = std::max<int64_t>(1, kChunkElements / weight.size(0));
    at::Tensor sum = at::zeros({}, hidden.options().dtype(at::kFloat));
    at::Tensor dhidden, dweight;
    if (differentiable) {
      dhidden = at::empty_like(hidden);
      dweight = at::zeros_like(weight, at::kFloat);
    }
    for (int64_t row = 0; row < rows; row += chunk) {
      const int64_t count = std::min(chunk, rows - row);
      const at::Tensor factor = factors.narrow(0, row, count);
      const at::Tensor target = targets.narrow(0, row, count).clamp_min(0).unsqueeze(1);
      const at::Tensor input = hidden.narrow(0, row, count);
      const at::Tensor logits = at::mm(input, weight.t());
      const auto [largest, where] = logits.max(1, /*keepdim=*/true);
      at::Tensor p = at::_softmax(logits, 1, /*half_to_float=*/false);
      const at::Tensor gap = largest.to(at::kFloat) - logits.gather(1, target).to(at::kFloat);
      sum += ((gap - p.gather(1, where).to(at::kFloat).log()) * factor).sum();
      if (differentiable) {
        p.scatter_(1, target, p.gather(1, target) - 1);
        const at::Tensor rows_factor = factor.to(hidden.scalar_type());
        dhidden.narrow(0, row, count).copy_(at::mm(p, weight) * rows_factor);
        dweight += at::mm(p.t(), input * rows_factor);
      }
    }
    if (differentiable) {
      context->save_for_backward({dhidden, dweight.to(weight.scalar_type())});
    }
    return sum;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    return {saved[0] * gradients[0], saved[1] * gradients[0], at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  static constexpr int64_t kChunkElements = int64_t{1} << 28;  // Of logits at a time: 512 MiB in bf16.
};

}  // namespace

at::Tensor PlainHeadCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight,
                                 const at::Tensor& targets) {
  const at::Tensor logits = at::linear(hidden, weight).to(at::kFloat);
  return at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum, kIgnoredTarget);
}

at::Tensor HeadCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  const bool differentiable =
      at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  if (hidden.is_cuda()) {
    return PlainChunks::apply(hidden, weight, targets, targets.ne(kIgnoredTarget).unsqueeze(1),
                              differentiable);
  }
  if (hidden.is_cpu() && hidden.scalar_type() == at::kFloat) {
    const at::Tensor contiguous = targets.contiguous();
    CheckTargets(contiguous, weight.size(0));
    return CpuHeadCrossEntropy::apply(hidden.contiguous(), weight, contiguous, differentiable);
  }
  return PlainHeadCrossEntropy(hidden, weight, targets);
}

at::Tensor HeadCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                            const at::Tensor& row_weights) {
  const bool differentiable =
      at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  const at::Tensor factors = (row_weights * targets.ne(kIgnoredTarget)).unsqueeze(1);
  return PlainChunks::apply(hidden, weight, targets, factors, differentiable);
}

}  // namespace cherry::trainer
