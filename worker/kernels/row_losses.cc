#include "worker/kernels/row_losses.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstdint>

#include "worker/kernels/cross_entropy.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kRowElements = int64_t{1} << 21;  // Of logits at a time: they stay near the cache of a CPU.

// Calls visit(first row, log-probabilities [rows, vocab] in fp32) chunk by chunk.
template <typename Visit>
void ForLogProbabilities(const at::Tensor& hidden, const at::Tensor& weight, Visit visit) {
  const at::NoGradGuard no_gradient;
  const int64_t chunk = std::max<int64_t>(1, kRowElements / weight.size(0));
  for (int64_t row = 0; row < hidden.size(0); row += chunk) {
    const int64_t count = std::min(chunk, hidden.size(0) - row);
    const at::Tensor logits = at::mm(hidden.narrow(0, row, count), weight.t()).to(at::kFloat);
    visit(row, at::_log_softmax(logits, 1, /*half_to_float=*/false));
  }
}

}  // namespace

at::Tensor HeadRowLosses(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  const at::NoGradGuard no_gradient;
  at::Tensor losses = at::empty({hidden.size(0)}, hidden.options().dtype(at::kFloat));
  ForLogProbabilities(hidden, weight, [&](int64_t row, const at::Tensor& log_p) {
    const at::Tensor target = targets.narrow(0, row, log_p.size(0));
    const at::Tensor loss = log_p.gather(1, target.clamp_min(0).unsqueeze(1)).squeeze(1).neg();
    losses.narrow(0, row, log_p.size(0)).copy_(loss.masked_fill(target.eq(kIgnoredTarget), 0.0));
  });
  return losses;
}

at::Tensor HeadRowEntropies(const at::Tensor& hidden, const at::Tensor& weight) {
  const at::NoGradGuard no_gradient;
  at::Tensor entropies = at::empty({hidden.size(0)}, hidden.options().dtype(at::kFloat));
  ForLogProbabilities(hidden, weight, [&](int64_t row, const at::Tensor& log_p) {
    entropies.narrow(0, row, log_p.size(0)).copy_((log_p.exp() * log_p).sum(1).neg());
  });
  return entropies;
}

}  // namespace cherry::trainer
