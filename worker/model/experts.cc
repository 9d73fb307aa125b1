#include "worker/model/experts.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/kernels/swiglu.h"

namespace cherry::trainer {

Choice Choose(const at::Tensor& logits, const at::Tensor& bias, int64_t k) {
  Choice choice;
  choice.probabilities = at::softmax(logits, -1);
  choice.log_probabilities = at::log_softmax(logits, -1);
  const int64_t experts = logits.size(1);
  {
    const at::NoGradGuard no_gradient;
    const at::Tensor p = choice.probabilities.detach();
    choice.experts = std::get<1>((bias.defined() ? p + bias : p).topk(k, -1));
    const at::Tensor chosen = choice.experts.flatten();
    choice.loads = at::zeros({experts}, chosen.options()).scatter_add_(0, chosen, at::ones_like(chosen));
  }
  const at::Tensor logs = choice.log_probabilities.gather(1, choice.experts);
  choice.weights = k == 1 ? (logs - logs.detach()).exp() : at::softmax(logs, -1);
  return choice;
}

at::Tensor RunFfn(const at::Tensor& x, const FfnWeights& ffn) {
  return at::linear(SwiGlu(at::linear(x, ffn.gate), at::linear(x, ffn.up)), ffn.down);
}

at::Tensor PlainExperts(const at::Tensor& x, const Choice& choice, const std::vector<FfnWeights>& experts) {
  const at::Tensor weights =
      at::zeros_like(choice.probabilities).scatter(1, choice.experts, choice.weights).to(x.scalar_type());
  at::Tensor sum;
  for (size_t i = 0; i < experts.size(); ++i) {
    const at::Tensor part = RunFfn(x, experts[i]) * weights.narrow(1, static_cast<int64_t>(i), 1);
    sum = i == 0 ? part : sum + part;
  }
  return sum;
}

at::Tensor RunExperts(const at::Tensor& x, const Choice& choice, const std::vector<FfnWeights>& experts) {
  if (!x.is_cpu()) {
    return PlainExperts(x, choice, experts);
  }
  // Choices in the order of their experts: those of one expert are neighbours.
  const int64_t k = choice.experts.size(1);
  const at::Tensor order = choice.experts.flatten().argsort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
  const at::Tensor rows = x.index_select(0, order.div(k, "floor"));
  const int64_t* const loads = choice.loads.const_data_ptr<int64_t>();
  std::vector<at::Tensor> parts;
  int64_t begin = 0;
  for (size_t i = 0; i < experts.size(); ++i) {
    parts.push_back(RunFfn(rows.narrow(0, begin, loads[i]), experts[i]));
    begin += loads[i];
  }
  // Back in the order of the tokens, each with its k results.
  const at::Tensor place =
      at::empty_like(order).scatter_(0, order, at::arange(order.size(0), order.options()));
  const at::Tensor results = at::cat(parts).index_select(0, place).view({x.size(0), k, x.size(1)});
  return (results * choice.weights.to(x.scalar_type()).unsqueeze(-1)).sum(1);
}

at::Tensor BalanceLoss(const Choice& choice) {
  const auto experts = static_cast<double>(choice.loads.size(0));
  const at::Tensor share = choice.loads.to(at::kFloat) / static_cast<double>(choice.experts.numel());
  return (share * choice.probabilities.mean(0)).sum() * experts;
}

void RoutingTally::Add(const Choice& choice) {
  const at::NoGradGuard no_gradient;
  const at::Tensor p = choice.probabilities.detach();
  const at::Tensor entropy = at::special_entr(p).sum().to(at::kDouble);
  loads_ = loads_.defined() ? loads_ + choice.loads : choice.loads;
  entropy_ = entropy_.defined() ? entropy_ + entropy : entropy;
  tokens_ += p.size(0);
}

void RoutingTally::MoveTo(double* loads, Routing* routing) {
  if (loads_.defined()) {
    const at::Tensor host = loads_.to(at::kCPU);
    for (int64_t i = 0; i < host.size(0); ++i) {
      loads[i] += static_cast<double>(host.const_data_ptr<int64_t>()[i]);
    }
    routing->entropy += entropy_.item<double>();
    routing->tokens += static_cast<double>(tokens_);
  }
  *this = RoutingTally();
}

void MoveBias(const double* loads, double rate, const at::Tensor& bias) {
  const at::NoGradGuard no_gradient;
  const at::Tensor load =
      at::tensor(at::ArrayRef<double>(loads, static_cast<size_t>(bias.size(0))), at::kDouble);
  const at::Tensor change = (load.mean() - load).sign().to(at::kFloat) * rate;
  bias.detach().add_(change.to(bias.device()));
}

}  // namespace cherry::trainer
