// Names of a model's parameters: Hugging Face's for its LlamaForCausalLM, and ours for what loops add.
// Thread-safe.
#ifndef CHERRY_COMMON_PARAMETER_NAMES_H_
#define CHERRY_COMMON_PARAMETER_NAMES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/schedule.h"

namespace cherry {

inline constexpr char kEmbeddingName[] = "model.embed_tokens.weight";
inline constexpr char kFinalNormName[] = "model.norm.weight";
inline constexpr char kHeadName[] = "lm_head.weight";

// "model.layers.3.mlp.up_proj.weight"
std::string LayerName(int64_t layer, absl::string_view part);

// "model.layers.3.self_attn.q_proj.bias". Visits share a layer's biases as its matrices.
std::string BiasName(int64_t layer, absl::string_view part);

// What a visit of a looped layer has of its own, "model.layers.3.visits.2.mlp.gain.weight"; outside of loops
// the layer's.
std::string VisitName(const Visit& visit, absl::string_view part);

// What a visit of a loop adds to a matrix of its layer, B A:
// "model.layers.3.visits.2.mlp.up_proj.lora_a.weight" is A [rank, in], lora_b B [out, rank].
std::string LoraAName(const Visit& visit, absl::string_view part);
std::string LoraBName(const Visit& visit, absl::string_view part);

// The matrices of a layer: "self_attn.q_proj" and so on.
inline constexpr const char* kLayerMatrices[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                                 "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                                 "mlp.down_proj"};
// Those of them that may have a bias.
inline constexpr const char* kBiasedMatrices[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                                  "self_attn.o_proj"};

// Of the loop that the visit belongs to: "model.loops.0.injection.weight", and its round's vector and gain.
std::string InjectionName(const Visit& visit);
std::string RoundVectorName(const Visit& visit);
std::string RoundGainName(const Visit& visit);

// Experts that are FFNs: "model.layers.3.mlp.experts.1.up_proj.weight", and what a visit chooses them by.
std::string ExpertName(int64_t layer, int64_t expert, absl::string_view part);
std::string RouterName(const Visit& visit);
std::string RouterBiasName(const Visit& visit);

// The module that predicts further tokens: "model.token_chain.layer.mlp.up_proj.weight".
std::string ChainName(absl::string_view part);
std::string ChainBiasName(absl::string_view part);
bool IsChainName(absl::string_view name);

// Of whole models that are mixed by token: what stands before each one's names, and the gate.
std::string ModelPrefix(int64_t expert);
inline constexpr char kGateName[] = "gate.weight";
inline constexpr char kGateBiasName[] = "gate.load_bias.weight";

}  // namespace cherry

#endif  // CHERRY_COMMON_PARAMETER_NAMES_H_
