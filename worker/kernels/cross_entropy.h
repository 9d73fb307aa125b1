// The head of a language model together with its loss. Thread-safe; differentiable once.
#ifndef CHERRY_WORKER_KERNELS_CROSS_ENTROPY_H_
#define CHERRY_WORKER_KERNELS_CROSS_ENTROPY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cherry::trainer {

inline constexpr int64_t kIgnoredTarget = -100;

// hidden [n, d], weight [vocab, d], targets [n] int64 in [0, vocab) or kIgnoredTarget -> fp32 scalar: the sum
// over counted rows of logsumexp(hidden weight^T) - logit of the target. A target outside throws.
at::Tensor HeadCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets);

// The same with a factor for each row, row_weights [n] fp32.
at::Tensor HeadCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                            const at::Tensor& row_weights);

// The same as a composition of ATen operators: the oracle, and what runs where there is no own kernel.
at::Tensor PlainHeadCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight,
                                 const at::Tensor& targets);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_KERNELS_CROSS_ENTROPY_H_
