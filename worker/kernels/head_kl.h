// How far a model's predictions have moved from another's. Thread-safe; differentiable once.
#ifndef CHERRY_WORKER_KERNELS_HEAD_KL_H_
#define CHERRY_WORKER_KERNELS_HEAD_KL_H_

#include <ATen/core/Tensor.h>

namespace cherry::trainer {

// hidden [n, d] and weight [vocab, d] of the model, origin_hidden [n, e] and origin_weight [vocab, e] of the
// one it is held to -> fp32 scalar: the sum over rows of KL(p || q) in nats, p = softmax(origin_hidden
// origin_weight^T / T) and q = softmax(hidden weight^T / T) at the temperature T. The gradient, of the model
// alone, is (q - p) / T in the logits; both are computed in forward, chunk by chunk.
at::Tensor HeadKl(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& origin_hidden,
                  const at::Tensor& origin_weight, double temperature = 1.0);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_HEAD_KL_H_
