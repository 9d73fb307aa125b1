#include "worker/model/transformer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "common/parameter_names.h"
#include "worker/kernels/cross_entropy.h"
#include "worker/kernels/rms_norm.h"
#include "worker/kernels/swiglu.h"
#include "worker/model/recompute.h"

namespace cherry::trainer {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens.weight";
constexpr char kFinalNorm[] = "model.norm.weight";
constexpr char kHead[] = "lm_head.weight";

void AddLayer(const ModelShape& shape, const Visit& visit, std::vector<ParameterSpec>* specs) {
  const int64_t d = shape.dim;
  const int64_t q = shape.heads * shape.head_dim();
  const int64_t kv = shape.kv_heads * shape.head_dim();
  const double std = shape.init_std;
  const double residual_std = std / std::sqrt(2.0 * static_cast<double>(shape.layers));
  const bool looped = visit.loop >= 0;
  const auto matrix = [&](absl::string_view part, int64_t out, int64_t in, double init) {
    if (visit.round == 0) {
      specs->push_back({LayerName(visit.layer, part), {out, in}, /*decay=*/true, init});
    }
  };
  const auto vector = [&](const std::string& name, int64_t width, float constant) {
    specs->push_back({name, {width}, /*decay=*/false, /*init_std=*/0.0, constant});
  };
  if (visit.begins_round && !shape.serveable) {
    vector(RoundGainName(visit), 1, 1.0F);
    vector(RoundVectorName(visit), d, 0.0F);
    if (visit.round == 0) {
      specs->push_back({InjectionName(visit), {d, d}, /*decay=*/true, /*init_std=*/0.0, 0.0F});
    }
  }
  vector(VisitName(visit, "input_layernorm"), d, 1.0F);
  matrix("self_attn.q_proj", q, d, std);
  matrix("self_attn.k_proj", kv, d, std);
  matrix("self_attn.v_proj", kv, d, std);
  if (shape.qk_norm && visit.round == 0) {
    vector(LayerName(visit.layer, "self_attn.q_norm"), shape.head_dim(), 1.0F);
    vector(LayerName(visit.layer, "self_attn.k_norm"), shape.head_dim(), 1.0F);
  }
  matrix("self_attn.o_proj", d, q, residual_std);
  if (looped) {
    vector(VisitName(visit, "self_attn.gain"), 1, 1.0F);
  }
  vector(VisitName(visit, "post_attention_layernorm"), d, 1.0F);
  matrix("mlp.gate_proj", shape.ffn_dim, d, std);
  matrix("mlp.up_proj", shape.ffn_dim, d, std);
  matrix("mlp.down_proj", d, shape.ffn_dim, residual_std);
  if (looped) {
    vector(VisitName(visit, "mlp.gain"), 1, 1.0F);
  }
}

}  // namespace

std::vector<ParameterSpec> TransformerParameters(const ModelShape& shape) {
  std::vector<ParameterSpec> specs;
  specs.push_back({kEmbedding, {shape.vocab, shape.dim}, /*decay=*/true, shape.init_std});
  for (const Visit& visit : VisitsOf(shape)) {
    AddLayer(shape, visit, &specs);
  }
  specs.push_back({kFinalNorm, {shape.dim}, /*decay=*/false, /*init_std=*/0.0});
  if (!shape.tied_embeddings) {
    specs.push_back({kHead, {shape.vocab, shape.dim}, /*decay=*/true, shape.init_std});
  }
  return specs;
}

Transformer::Transformer(const ModelShape& shape, const Options& options, uint64_t seed)
    : shape_(shape),
      options_(options),
      parameters_(TransformerParameters(shape), options.device, seed, options.frozen) {
  for (const Visit& visit : VisitsOf(shape)) {
    const auto find = [&](absl::string_view part) { return parameters_.Find(LayerName(visit.layer, part)); };
    layers_.push_back({.input_norm = parameters_.Find(VisitName(visit, "input_layernorm")),
                       .q = find("self_attn.q_proj"),
                       .k = find("self_attn.k_proj"),
                       .v = find("self_attn.v_proj"),
                       .q_norm = find("self_attn.q_norm"),
                       .k_norm = find("self_attn.k_norm"),
                       .o = find("self_attn.o_proj"),
                       .post_norm = parameters_.Find(VisitName(visit, "post_attention_layernorm")),
                       .gate = find("mlp.gate_proj"),
                       .up = find("mlp.up_proj"),
                       .down = find("mlp.down_proj"),
                       .round = visit.round,
                       .attention_gain = parameters_.Find(VisitName(visit, "self_attn.gain")),
                       .ffn_gain = parameters_.Find(VisitName(visit, "mlp.gain")),
                       .begins_loop = visit.begins_round && visit.round == 0,
                       .round_gain = visit.begins_round ? parameters_.Find(RoundGainName(visit)) : -1,
                       .round_vector = visit.begins_round ? parameters_.Find(RoundVectorName(visit)) : -1,
                       .injection = visit.begins_round ? parameters_.Find(InjectionName(visit)) : -1});
  }
  embedding_ = parameters_.Find(kEmbedding);
  final_norm_ = parameters_.Find(kFinalNorm);
  head_ = shape.tied_embeddings ? embedding_ : parameters_.Find(kHead);
}

at::Tensor Transformer::Weight(int64_t index) const {
  return parameters_.list()[static_cast<size_t>(index)].tensor.to(options_.compute);
}

at::Tensor Transformer::Norm(const at::Tensor& x, int64_t index) const {
  return RmsNorm(x, parameters_.list()[static_cast<size_t>(index)].tensor, shape_.norm_eps);
}

Rope Transformer::RopeAt(int64_t begin, int64_t count) {
  const int64_t have = rope_.cos.defined() ? rope_.cos.size(0) : 0;
  if (have < begin + count) {
    rope_ =
        MakeRope(std::max(begin + count, 2 * have), shape_.head_dim(), shape_.rope_theta, options_.device);
  }
  return {rope_.cos.narrow(0, begin, count), rope_.sin.narrow(0, begin, count)};
}

Transformer::Heads Transformer::Project(const Layer& layer, const at::Tensor& x) const {
  const at::Tensor input = Norm(x, layer.input_norm);
  const auto project = [&](int64_t weight, int64_t heads) {
    return at::linear(input, Weight(weight)).view({x.size(0), x.size(1), heads, shape_.head_dim()});
  };
  Heads heads = {project(layer.q, shape_.heads), project(layer.k, shape_.kv_heads),
                 project(layer.v, shape_.kv_heads)};
  if (shape_.qk_norm) {
    heads.q = Norm(heads.q, layer.q_norm);
    heads.k = Norm(heads.k, layer.k_norm);
  }
  return heads;
}

at::Tensor Transformer::Finish(const Layer& layer, const at::Tensor& x, const at::Tensor& attention) const {
  const at::Tensor middle = x + Scaled(at::linear(attention, Weight(layer.o)), layer.attention_gain);
  const at::Tensor input = Norm(middle, layer.post_norm);
  const at::Tensor gated = SwiGlu(at::linear(input, Weight(layer.gate)), at::linear(input, Weight(layer.up)));
  return middle + Scaled(at::linear(gated, Weight(layer.down)), layer.ffn_gain);
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

at::Tensor Transformer::RunLayer(const Layer& layer, const at::Tensor& x, const Rope& rope) const {
  const Heads heads = Project(layer, x);
  return Finish(layer, x, RopeAttention(heads.q, heads.k, heads.v, rope));
}

at::Tensor Transformer::Hidden(const at::Tensor& tokens) { return Hidden(tokens, nullptr); }

at::Tensor Transformer::Hidden(const at::Tensor& tokens, std::vector<at::Tensor>* states) {
  const Rope rope = RopeAt(0, tokens.size(1));
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

at::Tensor Transformer::Decode(const at::Tensor& ids, KvCache* cache) {
  const at::NoGradGuard no_gradient;
  const int64_t count = ids.size(1);
  const int64_t known = cache->length + count;
  GrowCache(known, cache);
  const Rope rope = RopeAt(cache->length, count);
  at::Tensor x = at::embedding(Weight(embedding_), ids);
  at::Tensor before;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].round >= most_rounds_) {
      continue;
    }
    x = EnterRound(layers_[i], x, &before);
    const Heads heads = Project(layers_[i], x);
    cache->keys[i].narrow(1, cache->length, count).copy_(ApplyRope(heads.k, rope));
    cache->values[i].narrow(1, cache->length, count).copy_(heads.v);
    const at::Tensor attention = CachedAttention(ApplyRope(heads.q, rope), cache->keys[i].narrow(1, 0, known),
                                                 cache->values[i].narrow(1, 0, known));
    x = Finish(layers_[i], x, attention);
  }
  cache->length = known;
  return Logits(Norm(x.select(1, count - 1), final_norm_)).flatten();
}

void Transformer::GrowCache(int64_t positions, KvCache* cache) const {
  constexpr int64_t kSmallest = 64;
  const int64_t have = cache->keys.empty() ? 0 : cache->keys[0].size(1);
  if (have >= positions) {
    return;
  }
  const int64_t capacity = std::max({positions, 2 * have, kSmallest});
  const at::TensorOptions options = at::TensorOptions().dtype(options_.compute).device(options_.device);
  const auto grow = [&](at::Tensor* buffer) {
    at::Tensor larger = at::zeros({1, capacity, shape_.kv_heads, shape_.head_dim()}, options);
    if (cache->length > 0) {
      larger.narrow(1, 0, cache->length).copy_(buffer->narrow(1, 0, cache->length));
    }
    *buffer = larger;
  };
  cache->keys.resize(layers_.size());
  cache->values.resize(layers_.size());
  for (size_t i = 0; i < layers_.size(); ++i) {
    grow(&cache->keys[i]);
    grow(&cache->values[i]);
  }
}

}  // namespace cherry::trainer
