#include "worker/model/transformer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "worker/kernels/cross_entropy.h"
#include "worker/kernels/rms_norm.h"
#include "worker/kernels/row_losses.h"
#include "worker/kernels/swiglu.h"
#include "worker/model/recompute.h"

namespace cherry::trainer {

at::Tensor Transformer::Weight(int64_t index) const {
  return parameters_->list()[static_cast<size_t>(index)].tensor.to(options_.compute);
}

at::Tensor Transformer::Norm(const at::Tensor& x, int64_t index) const {
  return RmsNorm(x, parameters_->list()[static_cast<size_t>(index)].tensor, shape_.norm_eps);
}

at::Tensor Transformer::Apply(const Matrix& matrix, const at::Tensor& x) const {
  const at::Tensor y = matrix.bias < 0 ? at::linear(x, Weight(matrix.weight))
                                       : at::linear(x, Weight(matrix.weight), Weight(matrix.bias));
  return matrix.lora_a < 0 ? y : y + at::linear(at::linear(x, Weight(matrix.lora_a)), Weight(matrix.lora_b));
}

Rope Transformer::RopeAt(int64_t begin, int64_t count) {
  const int64_t have = rope_.cos.defined() ? rope_.cos.size(0) : 0;
  if (have < begin + count) {
    const at::Tensor frequencies = RopeFrequencies(shape_.head_dim(), shape_.rope_theta, shape_.rope_scaling);
    rope_ = MakeRope(std::max(begin + count, 2 * have), frequencies, options_.device);
  }
  return {rope_.cos.narrow(0, begin, count), rope_.sin.narrow(0, begin, count)};
}

Transformer::Heads Transformer::Project(const Layer& layer, const at::Tensor& x) const {
  const at::Tensor input = Norm(x, layer.input_norm);
  const auto project = [&](const Matrix& matrix, int64_t heads) {
    return Apply(matrix, input).view({x.size(0), x.size(1), heads, shape_.head_dim()});
  };
  Heads heads = {project(layer.q, shape_.heads), project(layer.k, shape_.kv_heads),
                 project(layer.v, shape_.kv_heads)};
  if (shape_.qk_norm) {
    heads.q = Norm(heads.q, layer.q_norm);
    heads.k = Norm(heads.k, layer.k_norm);
  }
  return heads;
}

at::Tensor Transformer::Finish(const Layer& layer, const at::Tensor& x, const at::Tensor& attention) {
  const at::Tensor middle = x + Scaled(Apply(layer.o, attention), layer.attention_gain);
  const at::Tensor input = Norm(middle, layer.post_norm);
  return middle + Scaled(FeedForward(layer, input), layer.ffn_gain);
}

FfnWeights Transformer::WeightsOf(const Ffn& ffn) const {
  return {Weight(ffn.gate.weight), Weight(ffn.up.weight), Weight(ffn.down.weight)};
}

at::Tensor Transformer::FeedForward(const Layer& layer, const at::Tensor& input) {
  if (keep_ffn_inputs_) {
    ffn_inputs_.push_back(input.detach().flatten(0, 1));
  }
  if (layer.router >= 0) {
    return Expert(layer, input);
  }
  const Ffn& ffn = layer.ffns.front();
  return Apply(ffn.down, SwiGlu(Apply(ffn.gate, input), Apply(ffn.up, input)));
}

at::Tensor Transformer::Expert(const Layer& layer, const at::Tensor& input) {
  const at::Tensor rows = input.flatten(0, 1);
  const at::Tensor bias = shape_.balance == v1::FuseConfig::LOSS_FREE
                              ? parameters_->list()[static_cast<size_t>(layer.router_bias)].tensor.detach()
                              : at::Tensor();
  // Routers are fp32: what they choose between may lie closer together than bf16 can tell.
  const at::Tensor router = parameters_->list()[static_cast<size_t>(layer.router)].tensor;
  const Choice choice = Choose(at::linear(rows.to(at::kFloat), router), bias, shape_.top_k);
  if (at::GradMode::is_enabled()) {
    Note(layer, choice);
  }
  std::vector<FfnWeights> experts;
  for (const Ffn& ffn : layer.ffns) {
    experts.push_back(WeightsOf(ffn));
  }
  return RunExperts(rows, choice, experts).view_as(input);
}

void Transformer::Note(const Layer& layer, const Choice& choice) {
  if (shape_.balance == v1::FuseConfig::SWITCH) {
    const at::Tensor loss = BalanceLoss(choice);
    balance_loss_ = balance_loss_.defined() ? balance_loss_ + loss : loss;
  }
  tallies_.resize(layers_.size());
  tallies_[static_cast<size_t>(layer.number)].Add(choice);
}

Routing Transformer::TakeRouting() {
  Routing routing;
  if (!shape_.routes_ffn()) {
    return routing;
  }
  routing.loads.assign(layers_.size() * static_cast<size_t>(shape_.experts), 0.0);
  for (size_t i = 0; i < tallies_.size(); ++i) {
    tallies_[i].MoveTo(routing.loads.data() + i * static_cast<size_t>(shape_.experts), &routing);
  }
  return routing;
}

void Transformer::Settle(const Routing& routing) {
  if (shape_.balance != v1::FuseConfig::LOSS_FREE || !shape_.routes_ffn()) {
    return;
  }
  for (const Layer& layer : layers_) {
    MoveBias(routing.loads.data() + layer.number * shape_.experts, shape_.balance_rate,
             parameters_->list()[static_cast<size_t>(layer.router_bias)].tensor);
  }
}

at::Tensor Transformer::Scaled(const at::Tensor& branch, int64_t gain) const {
  return gain < 0 ? branch : branch * Weight(gain);
}

at::Tensor Transformer::EnterRound(const Layer& layer, const at::Tensor& x, at::Tensor* before) const {
  if (layer.begins_loop) {
    *before = x;
  }
  if (layer.round_vector < 0) {
    return x;
  }
  const at::Tensor added = Weight(layer.round_vector) + at::linear(*before, Weight(layer.injection));
  return x + added * Weight(layer.round_gain);
}

at::Tensor Transformer::RunLayer(const Layer& layer, const at::Tensor& x, const Rope& rope) {
  const Heads heads = Project(layer, x);
  return Finish(layer, x, RopeAttention(heads.q, heads.k, heads.v, rope));
}

at::Tensor Transformer::Hidden(const at::Tensor& tokens) { return Hidden(tokens, nullptr); }

at::Tensor Transformer::Hidden(const at::Tensor& tokens, std::vector<at::Tensor>* states) {
  const Rope rope = RopeAt(0, tokens.size(1));
  balance_loss_ = at::Tensor();
  ffn_inputs_.clear();
  at::Tensor x = at::embedding(Weight(embedding_), tokens);
  at::Tensor before;
  if (states != nullptr) {
    *states = {x};
  }
  for (const Layer& layer : layers_) {
    if (layer.round >= most_rounds_) {
      continue;
    }
    x = EnterRound(layer, x, &before);
    if (options_.recompute_layers) {
      x = Recompute([this, &layer, rope](const at::Tensor& input) { return RunLayer(layer, input, rope); },
                    x);
    } else {
      x = RunLayer(layer, x, rope);
    }
    if (states != nullptr) {
      states->push_back(x);
    }
  }
  return Norm(x, final_norm_);
}

at::Tensor Transformer::Logits(const at::Tensor& hidden) {
  return at::linear(hidden, Weight(head_)).to(at::kFloat);
}

LossSum Transformer::Loss(const at::Tensor& tokens, const at::Tensor& targets) {
  const at::Tensor hidden = Hidden(tokens).flatten(0, 1);
  return {HeadCrossEntropy(hidden, Weight(head_), targets.flatten()), targets.ne(kIgnoredTarget).sum()};
}

at::Tensor Transformer::RowLosses(const at::Tensor& tokens, const at::Tensor& targets) {
  const at::NoGradGuard no_gradient;
  return HeadRowLosses(Hidden(tokens).flatten(0, 1), Weight(head_), targets.flatten());
}

at::Tensor Transformer::ChainInput(const at::Tensor& states, const at::Tensor& next_tokens) const {
  const at::Tensor token = Norm(at::embedding(Weight(embedding_), next_tokens), chain_token_norm_);
  return at::linear(at::cat({Norm(states, chain_state_norm_), token}, -1), Weight(chain_join_));
}

at::Tensor Transformer::Chain(const at::Tensor& states, const at::Tensor& next_tokens) {
  const at::Tensor x = ChainInput(states, next_tokens);
  return Norm(RunLayer(chain_, x, RopeAt(0, x.size(1))), chain_norm_);
}

}  // namespace cherry::trainer
