#include "worker/methods/sgt/coupling.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "common/status.h"
#include "worker/kernels/cross_entropy.h"
#include "worker/kernels/row_losses.h"

namespace cherry::trainer {
namespace {

// In double, a piece at a time, so that no second copy of the whole exists.
double Dot(const at::Tensor& a, const at::Tensor& b) {
  constexpr int64_t kPiece = int64_t{1} << 24;
  double sum = 0.0;
  for (int64_t begin = 0; begin < a.numel(); begin += kPiece) {
    const int64_t count = std::min(kPiece, a.numel() - begin);
    sum += at::dot(a.narrow(0, begin, count).to(at::kDouble), b.narrow(0, begin, count).to(at::kDouble))
               .item<double>();
  }
  return sum;
}

double Cosine(const at::Tensor& a, const at::Tensor& b) {
  return Dot(a, b) / std::sqrt(Dot(a, a) * Dot(b, b));
}

at::Tensor Masked(const Batch& batch, const at::Tensor& mask) {
  return batch.targets.flatten().masked_fill(mask.logical_not(), kIgnoredTarget);
}

}  // namespace

absl::StatusOr<CouplingProbe::Part> CouplingProbe::Backward(const Batch& batch, const at::Tensor& hidden,
                                                            const at::Tensor& mask,
                                                            const Collectives& collectives) {
  model_->parameters().ZeroGradients();
  const at::Tensor loss = HeadCrossEntropy(hidden, model_->HeadWeight(), Masked(batch, mask));
  loss.backward({}, /*retain_graph=*/true);
  double sums[2] = {loss.item<double>(), mask.sum().item<double>()};
  RETURN_IF_ERROR(collectives.control->AllReduceSum(absl::MakeSpan(sums)));
  Part part;
  part.loss = sums[0] / sums[1];
  part.targets = sums[1];
  part.gradient = model_->parameters().gradients().clone();
  RETURN_IF_ERROR(collectives.gradients->AllReduceSum(
      absl::MakeSpan(part.gradient.mutable_data_ptr<float>(), static_cast<size_t>(part.gradient.numel()))));
  part.gradient.div_(part.targets);
  return part;
}

absl::Status CouplingProbe::Before(const Batch& batch, const Split& chosen, const at::Tensor& random,
                                   const Batch& independent, const Split& independent_chosen,
                                   const Collectives& collectives) {
  const at::Tensor hidden = model_->Hidden(batch.tokens).flatten(0, 1);
  ASSIGN_OR_RETURN(const Part supervised, Backward(batch, hidden, chosen.supervised, collectives));
  ASSIGN_OR_RETURN(const Part others, Backward(batch, hidden, chosen.others, collectives));
  ASSIGN_OR_RETURN(const Part drawn, Backward(batch, hidden, random, collectives));
  const at::Tensor elsewhere = model_->Hidden(independent.tokens).flatten(0, 1);
  ASSIGN_OR_RETURN(const Part cross,
                   Backward(independent, elsewhere, independent_chosen.others, collectives));
  coupling_ = Coupling();
  coupling_.cosine = Cosine(supervised.gradient, others.gradient);
  coupling_.projection =
      Dot(supervised.gradient, others.gradient) / Dot(supervised.gradient, supervised.gradient);
  coupling_.cross_cosine = Cosine(supervised.gradient, cross.gradient);
  // Both splits have the same sum over all targets, so what the draw left needs no backward of its own; a
  // cosine does not ask for its scale.
  const at::Tensor left = supervised.gradient * supervised.targets + others.gradient * others.targets -
                          drawn.gradient * drawn.targets;
  coupling_.random_cosine = Cosine(drawn.gradient, left);
  others_ = others.gradient;
  others_loss_ = others.loss;
  values_ = model_->parameters().values().clone();
  return absl::OkStatus();
}

absl::StatusOr<Coupling> CouplingProbe::After(const Batch& batch, const Split& chosen,
                                              const Collectives& collectives) {
  const at::NoGradGuard no_gradient;
  coupling_.predicted = Dot(others_, model_->parameters().values() - values_);
  others_ = at::Tensor();
  values_ = at::Tensor();
  const at::Tensor hidden = model_->Hidden(batch.tokens).flatten(0, 1);
  double sums[2] = {HeadRowLosses(hidden, model_->HeadWeight(), Masked(batch, chosen.others))
                        .sum(at::kDouble)
                        .item<double>(),
                    chosen.others.sum().item<double>()};
  RETURN_IF_ERROR(collectives.control->AllReduceSum(absl::MakeSpan(sums)));
  coupling_.measured = sums[0] / sums[1] - others_loss_;
  return coupling_;
}

}  // namespace cherry::trainer
