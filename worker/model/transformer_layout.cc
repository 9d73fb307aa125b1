#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/parameter_layout.h"
#include "common/parameter_names.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {

Transformer::Transformer(const ModelShape& shape, const Options& options, uint64_t seed)
    : Transformer(
          shape, options,
          std::make_shared<Parameters>(TransformerParameters(shape), options.device, seed, options.frozen),
          "") {}

Transformer::Transformer(const ModelShape& shape, const Options& options,
                         std::shared_ptr<Parameters> parameters, const std::string& prefix)
    : shape_(shape), options_(options), parameters_(std::move(parameters)) {
  FindLayers(prefix);
  embedding_ = parameters_->Find(prefix + kEmbeddingName);
  final_norm_ = parameters_->Find(prefix + kFinalNormName);
  head_ = shape.tied_embeddings ? embedding_ : parameters_->Find(prefix + kHeadName);
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
