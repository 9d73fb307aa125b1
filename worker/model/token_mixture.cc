#include "worker/model/token_mixture.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <string>

#include "common/parameter_names.h"
#include "worker/kernels/cross_entropy.h"
#include "worker/kernels/row_losses.h"

namespace cherry::trainer {
namespace {

std::vector<ParameterSpec> MixtureParameters(const ModelShape& shape) {
  std::vector<ParameterSpec> specs;
  for (int64_t i = 0; i < shape.experts; ++i) {
    for (ParameterSpec& spec : TransformerParameters(ExpertShape(shape), ModelPrefix(i))) {
      specs.push_back(std::move(spec));
    }
  }
  specs.push_back({kGateName, {shape.experts, shape.dim}, /*decay=*/true, shape.init_std});
  specs.push_back(
      {kGateBiasName, {shape.experts}, /*decay=*/false, /*init_std=*/0.0, 0.0F, /*trained=*/false});
  return specs;
}

at::Tensor Mean(const std::vector<at::Tensor>& states) {
  at::Tensor sum = states[0].to(at::kFloat);
  for (size_t i = 1; i < states.size(); ++i) {
    sum = sum + states[i].to(at::kFloat);
  }
  return sum / static_cast<double>(states.size());
}

// fp32 [n, experts]: the logarithms of a choice's weights, -inf where an expert is not chosen.
at::Tensor LogWeights(const Choice& choice) {
  return at::full_like(choice.probabilities, -INFINITY).scatter(1, choice.experts, choice.weights.log());
}

}  // namespace

TokenMixture::TokenMixture(const ModelShape& shape, const ModelOptions& options, uint64_t seed)
    : shape_(shape),
      options_(options),
      parameters_(
          std::make_shared<Parameters>(MixtureParameters(shape), options.device, seed, options.frozen)) {
  for (int64_t i = 0; i < shape.experts; ++i) {
    models_.push_back(
        std::make_unique<Transformer>(ExpertShape(shape), options, parameters_, ModelPrefix(i)));
  }
  gate_ = parameters_->Find(kGateName);
  bias_ = parameters_->Find(kGateBiasName);
}

Choice TokenMixture::Gate(const std::vector<at::Tensor>& states) {
  const std::vector<NamedParameter>& list = parameters_->list();
  const at::Tensor bias = shape_.balance == v1::FuseConfig::LOSS_FREE
                              ? list[static_cast<size_t>(bias_)].tensor.detach()
                              : at::Tensor();
  const at::Tensor logits = at::linear(Mean(states), list[static_cast<size_t>(gate_)].tensor);
  Choice choice = Choose(logits, bias, shape_.top_k);
  if (at::GradMode::is_enabled()) {
    tally_.Add(choice);
    balance_loss_ = shape_.balance == v1::FuseConfig::SWITCH ? BalanceLoss(choice) : at::Tensor();
  }
  return choice;
}

// The gradient of -log sum_i pi_i p_i is that of sum_i r_i (loss_i - log pi_i), r_i being the share that
// model i has in the sum. So the models' heads run once for the losses and once, weighted by r, for the
// gradients: the logits of all models and rows never exist together.
LossSum TokenMixture::Loss(const at::Tensor& tokens, const at::Tensor& targets) {
  const at::Tensor flat = targets.flatten();
  const at::Tensor counted = flat.ne(kIgnoredTarget);
  std::vector<at::Tensor> states, losses;
  for (const std::unique_ptr<Transformer>& model : models_) {
    states.push_back(model->Hidden(tokens).flatten(0, 1));
    const at::NoGradGuard no_gradient;
    losses.push_back(HeadRowLosses(states.back().detach(), model->HeadWeight(), flat));
  }
  const at::Tensor joint = Gate(states).log_probabilities - at::stack(losses, 1);
  const at::Tensor total = joint.logsumexp(1);
  at::Tensor sum = (total.neg() * counted).sum();
  if (at::GradMode::is_enabled()) {
    const at::Tensor shares = (joint - total.unsqueeze(1)).detach().exp() * counted.unsqueeze(1);
    for (size_t i = 0; i < models_.size(); ++i) {
      const at::Tensor part = HeadCrossEntropy(states[i], models_[i]->HeadWeight(), flat,
                                               shares.select(1, static_cast<int64_t>(i)).contiguous());
      sum = sum + (part - part.detach());
    }
  }
  return {sum, counted.sum()};
}

at::Tensor TokenMixture::RowLosses(const at::Tensor& tokens, const at::Tensor& targets) {
  const at::NoGradGuard no_gradient;
  const at::Tensor flat = targets.flatten();
  std::vector<at::Tensor> states, losses;
  for (const std::unique_ptr<Transformer>& model : models_) {
    states.push_back(model->Hidden(tokens).flatten(0, 1));
    losses.push_back(HeadRowLosses(states.back(), model->HeadWeight(), flat));
  }
  const at::Tensor joint = LogWeights(Gate(states)) - at::stack(losses, 1);
  return joint.logsumexp(1).neg() * flat.ne(kIgnoredTarget);
}

at::Tensor TokenMixture::Decode(const at::Tensor& ids, int64_t rows, KvCache* cache) {
  const at::NoGradGuard no_gradient;
  cache->models.resize(models_.size());
  std::vector<at::Tensor> states, logits;
  for (size_t i = 0; i < models_.size(); ++i) {
    cache->models[i].length = cache->length;
    const at::Tensor all = models_[i]->DecodeStates(ids, &cache->models[i]);
    states.push_back(all.narrow(1, all.size(1) - rows, rows).flatten(0, 1));
    logits.push_back(models_[i]->Logits(states.back()).log_softmax(-1));
  }
  cache->length += ids.size(1);
  const at::Tensor weights = LogWeights(Gate(states)).t().unsqueeze(-1);  // [experts, rows, 1]
  return (at::stack(logits) + weights).logsumexp(0);
}

at::Tensor TokenMixture::GateInput(const at::Tensor& tokens) {
  std::vector<at::Tensor> states;
  for (const std::unique_ptr<Transformer>& model : models_) {
    states.push_back(model->Hidden(tokens).flatten(0, 1));
  }
  return Mean(states);
}

Routing TokenMixture::TakeRouting() {
  Routing routing;
  routing.loads.assign(static_cast<size_t>(shape_.experts), 0.0);
  tally_.MoveTo(routing.loads.data(), &routing);
  return routing;
}

void TokenMixture::Settle(const Routing& routing) {
  if (shape_.balance == v1::FuseConfig::LOSS_FREE) {
    MoveBias(routing.loads.data(), shape_.balance_rate,
             parameters_->list()[static_cast<size_t>(bias_)].tensor);
  }
}

}  // namespace cherry::trainer
