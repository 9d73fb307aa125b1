#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/parameter_names.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens.weight";
constexpr char kFinalNorm[] = "model.norm.weight";
constexpr char kHead[] = "lm_head.weight";

// Writes down the parameters of a shape one by one.
class Layout {
 public:
  Layout(const ModelShape& shape, const std::string& prefix)
      : shape_(shape),
        prefix_(prefix),
        residual_std_(shape.init_std / std::sqrt(2.0 * static_cast<double>(shape.layers))) {}

  void Matrix(const std::string& name, int64_t out, int64_t in) {
    Add(name, {out, in}, shape_.init_std, 0.0F);
  }
  // One that writes back into the residual stream.
  void Residual(const std::string& name, int64_t out, int64_t in) {
    Add(name, {out, in}, residual_std_, 0.0F);
  }
  void Zeros(const std::string& name, int64_t out, int64_t in) { Add(name, {out, in}, 0.0, 0.0F); }
  void Vector(const std::string& name, int64_t width, float constant) { Add(name, {width}, 0.0, constant); }

  void AddVisit(const Visit& visit);
  void AddChain();
  std::vector<ParameterSpec> Take() { return std::move(specs_); }

 private:
  void Add(const std::string& name, std::vector<int64_t> shape, double init_std, float constant) {
    const bool matrix = shape.size() == 2;
    specs_.push_back({prefix_ + name, std::move(shape), /*decay=*/matrix, init_std, constant});
  }
  template <typename Name, typename Bias>
  void AddAttention(const Name& name, const Bias& bias);
  template <typename Name>
  void AddFfn(const Name& name);
  void AddLora(const Visit& visit);
  // [rows, columns] of one of a layer's matrices.
  std::pair<int64_t, int64_t> SizeOf(absl::string_view part) const;

  const ModelShape& shape_;
  const std::string prefix_;
  const double residual_std_;
  std::vector<ParameterSpec> specs_;
};

template <typename Name, typename Bias>
void Layout::AddAttention(const Name& name, const Bias& bias) {
  const int64_t kv = shape_.kv_heads * shape_.head_dim();
  Matrix(name("self_attn.q_proj"), shape_.query_dim(), shape_.dim);
  Matrix(name("self_attn.k_proj"), kv, shape_.dim);
  Matrix(name("self_attn.v_proj"), kv, shape_.dim);
  if (shape_.qk_norm) {
    Vector(name("self_attn.q_norm"), shape_.head_dim(), 1.0F);
    Vector(name("self_attn.k_norm"), shape_.head_dim(), 1.0F);
  }
  Residual(name("self_attn.o_proj"), shape_.dim, shape_.query_dim());
  if (shape_.attention_bias != v1::ModelConfig::NONE) {
    Vector(bias("self_attn.q_proj"), shape_.query_dim(), 0.0F);
    Vector(bias("self_attn.k_proj"), kv, 0.0F);
    Vector(bias("self_attn.v_proj"), kv, 0.0F);
  }
  if (shape_.attention_bias == v1::ModelConfig::ALL) {
    Vector(bias("self_attn.o_proj"), shape_.dim, 0.0F);
  }
}

template <typename Name>
void Layout::AddFfn(const Name& name) {
  Matrix(name("gate_proj"), shape_.ffn_dim, shape_.dim);
  Matrix(name("up_proj"), shape_.ffn_dim, shape_.dim);
  Residual(name("down_proj"), shape_.dim, shape_.ffn_dim);
}

std::pair<int64_t, int64_t> Layout::SizeOf(absl::string_view part) const {
  const int64_t kv = shape_.kv_heads * shape_.head_dim();
  if (part == "self_attn.k_proj" || part == "self_attn.v_proj") {
    return {kv, shape_.dim};
  }
  if (part == "mlp.down_proj") {
    return {shape_.dim, shape_.ffn_dim};
  }
  if (part == "self_attn.o_proj") {
    return {shape_.dim, shape_.query_dim()};
  }
  return {absl::StartsWith(part, "mlp.") ? shape_.ffn_dim : shape_.query_dim(), shape_.dim};
}

void Layout::AddLora(const Visit& visit) {
  for (const char* part : kLayerMatrices) {
    const auto [rows, columns] = SizeOf(part);
    Matrix(LoraAName(visit, part), shape_.lora_rank, columns);
    Zeros(LoraBName(visit, part), rows, shape_.lora_rank);
  }
}

void Layout::AddVisit(const Visit& visit) {
  const bool first = visit.round == 0;
  const auto layer = [&](absl::string_view part) { return LayerName(visit.layer, part); };
  if (visit.begins_round && !shape_.serveable) {
    Vector(RoundGainName(visit), 1, 1.0F);
    Vector(RoundVectorName(visit), shape_.dim, 0.0F);
    if (first) {
      Zeros(InjectionName(visit), shape_.dim, shape_.dim);
    }
  }
  Vector(VisitName(visit, "input_layernorm"), shape_.dim, 1.0F);
  if (first) {
    AddAttention(layer, [&](absl::string_view part) { return BiasName(visit.layer, part); });
  }
  if (visit.loop >= 0) {
    Vector(VisitName(visit, "self_attn.gain"), 1, 1.0F);
  }
  Vector(VisitName(visit, "post_attention_layernorm"), shape_.dim, 1.0F);
  if (shape_.routes_ffn()) {
    Matrix(RouterName(visit), shape_.experts, shape_.dim);
    Vector(RouterBiasName(visit), shape_.experts, 0.0F);
    specs_.back().trained = false;
  }
  const int64_t ffns = !first ? 0 : shape_.routes_ffn() ? shape_.experts : 1;
  for (int64_t i = 0; i < ffns; ++i) {
    AddFfn([&](absl::string_view part) {
      return shape_.routes_ffn() ? ExpertName(visit.layer, i, part)
                                 : LayerName(visit.layer, absl::StrCat("mlp.", part));
    });
  }
  if (visit.loop >= 0) {
    Vector(VisitName(visit, "mlp.gain"), 1, 1.0F);
  }
  if (visit.loop >= 0 && shape_.lora_rank > 0) {
    AddLora(visit);
  }
}

void Layout::AddChain() {
  const auto layer = [](absl::string_view part) { return ChainName(absl::StrCat("layer.", part)); };
  Vector(ChainName("state_norm"), shape_.dim, 1.0F);
  Vector(ChainName("token_norm"), shape_.dim, 1.0F);
  Matrix(ChainName("join"), shape_.dim, 2 * shape_.dim);
  Vector(layer("input_layernorm"), shape_.dim, 1.0F);
  AddAttention(layer, [](absl::string_view part) { return ChainBiasName(absl::StrCat("layer.", part)); });
  Vector(layer("post_attention_layernorm"), shape_.dim, 1.0F);
  AddFfn([&](absl::string_view part) { return layer(absl::StrCat("mlp.", part)); });
  Vector(ChainName("norm"), shape_.dim, 1.0F);
}

}  // namespace

std::vector<ParameterSpec> TransformerParameters(const ModelShape& shape, const std::string& prefix) {
  Layout layout(shape, prefix);
  layout.Matrix(kEmbedding, shape.vocab, shape.dim);
  for (const Visit& visit : VisitsOf(shape)) {
    layout.AddVisit(visit);
  }
  layout.Vector(kFinalNorm, shape.dim, 1.0F);
  if (shape.token_chain) {
    layout.AddChain();
  }
  if (!shape.tied_embeddings) {
    layout.Matrix(kHead, shape.vocab, shape.dim);
  }
  return layout.Take();
}

Transformer::Transformer(const ModelShape& shape, const Options& options, uint64_t seed)
    : Transformer(
          shape, options,
          std::make_shared<Parameters>(TransformerParameters(shape), options.device, seed, options.frozen),
          "") {}

Transformer::Transformer(const ModelShape& shape, const Options& options,
                         std::shared_ptr<Parameters> parameters, const std::string& prefix)
    : shape_(shape), options_(options), parameters_(std::move(parameters)) {
  FindLayers(prefix);
  embedding_ = parameters_->Find(prefix + kEmbedding);
  final_norm_ = parameters_->Find(prefix + kFinalNorm);
  head_ = shape.tied_embeddings ? embedding_ : parameters_->Find(prefix + kHead);
  if (shape.token_chain) {
    chain_ = FindChain();
    chain_state_norm_ = parameters_->Find(ChainName("state_norm"));
    chain_token_norm_ = parameters_->Find(ChainName("token_norm"));
    chain_join_ = parameters_->Find(ChainName("join"));
    chain_norm_ = parameters_->Find(ChainName("norm"));
  }
}

void Transformer::FindLayers(const std::string& prefix) {
  for (const Visit& visit : VisitsOf(shape_)) {
    const auto own = [&](const std::string& name) { return parameters_->Find(prefix + name); };
    const auto find = [&](absl::string_view part) { return own(LayerName(visit.layer, part)); };
    const auto matrix = [&](absl::string_view part) -> Matrix {
      return {find(part), own(LoraAName(visit, part)), own(LoraBName(visit, part)),
              own(BiasName(visit.layer, part))};
    };
    Layer layer = {.input_norm = own(VisitName(visit, "input_layernorm")),
                   .q = matrix("self_attn.q_proj"),
                   .k = matrix("self_attn.k_proj"),
                   .v = matrix("self_attn.v_proj"),
                   .q_norm = find("self_attn.q_norm"),
                   .k_norm = find("self_attn.k_norm"),
                   .o = matrix("self_attn.o_proj"),
                   .post_norm = own(VisitName(visit, "post_attention_layernorm")),
                   .number = static_cast<int64_t>(layers_.size()),
                   .round = visit.round,
                   .attention_gain = own(VisitName(visit, "self_attn.gain")),
                   .ffn_gain = own(VisitName(visit, "mlp.gain")),
                   .begins_loop = visit.begins_round && visit.round == 0};
    if (shape_.routes_ffn()) {
      layer.router = own(RouterName(visit));
      layer.router_bias = own(RouterBiasName(visit));
      for (int64_t i = 0; i < shape_.experts; ++i) {
        const auto expert = [&](absl::string_view part) -> Matrix {
          return {own(ExpertName(visit.layer, i, part))};
        };
        layer.ffns.push_back({expert("gate_proj"), expert("up_proj"), expert("down_proj")});
      }
    } else {
      layer.ffns.push_back({matrix("mlp.gate_proj"), matrix("mlp.up_proj"), matrix("mlp.down_proj")});
    }
    if (visit.begins_round) {
      layer.round_gain = own(RoundGainName(visit));
      layer.round_vector = own(RoundVectorName(visit));
      layer.injection = own(InjectionName(visit));
    }
    layers_.push_back(std::move(layer));
  }
}

Transformer::Layer Transformer::FindChain() const {
  const auto find = [this](absl::string_view part) {
    return parameters_->Find(ChainName(absl::StrCat("layer.", part)));
  };
  const auto matrix = [&](absl::string_view part) -> Matrix {
    return {.weight = find(part), .bias = parameters_->Find(ChainBiasName(absl::StrCat("layer.", part)))};
  };
  return {.input_norm = find("input_layernorm"),
          .q = matrix("self_attn.q_proj"),
          .k = matrix("self_attn.k_proj"),
          .v = matrix("self_attn.v_proj"),
          .q_norm = find("self_attn.q_norm"),
          .k_norm = find("self_attn.k_norm"),
          .o = matrix("self_attn.o_proj"),
          .post_norm = find("post_attention_layernorm"),
          .ffns = {{matrix("mlp.gate_proj"), matrix("mlp.up_proj"), matrix("mlp.down_proj")}}};
}

}  // namespace cherry::trainer
