#include "common/parameter_layout.h"

#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/parameter_names.h"

namespace cherry {
namespace {

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
  layout.Matrix(kEmbeddingName, shape.vocab, shape.dim);
  for (const Visit& visit : VisitsOf(shape)) {
    layout.AddVisit(visit);
  }
  layout.Vector(kFinalNormName, shape.dim, 1.0F);
  if (shape.token_chain) {
    layout.AddChain();
  }
  if (!shape.tied_embeddings) {
    layout.Matrix(kHeadName, shape.vocab, shape.dim);
  }
  return layout.Take();
}

}  // namespace cherry
