// Losses and entropies of single rows, to choose and to measure by. Thread-safe; records no gradient.
#ifndef CHERRY_WORKER_KERNELS_ROW_LOSSES_H_
#define CHERRY_WORKER_KERNELS_ROW_LOSSES_H_

#include <ATen/core/Tensor.h>

namespace cherry::trainer {

// hidden [n, d], weight [vocab, d], targets [n] int64 -> fp32 [n]: logsumexp(hidden weight^T) - logit of the
// target; 0 where the target is kIgnoredTarget. Logits exist for some hundred rows at a time.
at::Tensor HeadRowLosses(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets);

// fp32 [n]: the entropy in nats of softmax(hidden weight^T).
at::Tensor HeadRowEntropies(const at::Tensor& hidden, const at::Tensor& weight);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_ROW_LOSSES_H_
