#include "worker/kernels/cross_entropy.h"

#include <ATen/ATen.h>

namespace cherry::trainer {

at::Tensor PlainHeadCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight,
                                 const at::Tensor& targets) {
  const at::Tensor logits = at::linear(hidden, weight).to(at::kFloat);
  return at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum, kIgnoredTarget);
}

at::Tensor HeadCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  return PlainHeadCrossEntropy(hidden, weight, targets);
}

}  // namespace cherry::trainer
