#include "client/data/export_form.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/hf_config.h"
#include "common/manifest.h"
#include "common/parameter_names.h"
#include "common/schedule.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace cherry::client {
namespace {

using Json = nlohmann::ordered_json;

// Collects the plain model's tensors; what had to be computed is kept here until they are written.
class Folded {
 public:
  explicit Folded(const SafetensorsFile& file) : file_(file) {}

  absl::Status Copy(const std::string& from, const std::string& to) {
    ASSIGN_OR_RETURN(const TensorInfo tensor, Find(from));
    tensors_.push_back({to, tensor.dtype, tensor.shape, file_.Data(tensor), tensor.bytes});
    return absl::OkStatus();
  }

  // The matrix `part` of a visit as layer `place` has it: g (W + B A), g being 1 where `gain` is empty.
  absl::Status Matrix(const Visit& visit, const std::string& part, const std::string& gain, int64_t place) {
    const std::string from = LayerName(visit.layer, part), to = LayerName(place, part);
    const bool lora = visit.loop >= 0 && file_.Find(LoraAName(visit, part)).ok();
    if (!lora) {
      return Scaled(visit, from, gain, to);
    }
    ASSIGN_OR_RETURN(const TensorInfo tensor, Find(from));
    const float* const values = Values(tensor);
    std::vector<float>& folded =
        computed_.emplace_back(values, values + tensor.bytes / static_cast<int64_t>(sizeof(float)));
    RETURN_IF_ERROR(AddProduct(visit, part, tensor, &folded));
    if (!gain.empty()) {
      RETURN_IF_ERROR(Scale(visit, gain, &folded));
    }
    tensors_.push_back({to, tensor.dtype, tensor.shape, folded.data(), tensor.bytes});
    return absl::OkStatus();
  }

  bool Has(const std::string& name) const { return file_.Find(name).ok(); }

  // The tensor `from` as `to`, times the visit's `gain` where it is not empty.
  absl::Status Scaled(const Visit& visit, const std::string& from, const std::string& gain,
                      const std::string& to) {
    if (gain.empty()) {
      return Copy(from, to);
    }
    ASSIGN_OR_RETURN(const TensorInfo tensor, Find(from));
    const float* const values = Values(tensor);
    std::vector<float>& folded =
        computed_.emplace_back(values, values + tensor.bytes / static_cast<int64_t>(sizeof(float)));
    RETURN_IF_ERROR(Scale(visit, gain, &folded));
    tensors_.push_back({to, tensor.dtype, tensor.shape, folded.data(), tensor.bytes});
    return absl::OkStatus();
  }

  const std::vector<TensorBytes>& tensors() const { return tensors_; }

 private:
  absl::Status Scale(const Visit& visit, const std::string& gain, std::vector<float>* values) const {
    ASSIGN_OR_RETURN(const TensorInfo factor, Find(VisitName(visit, gain)));
    for (float& value : *values) {
      value *= *Values(factor);
    }
    return absl::OkStatus();
  }

  const float* Values(const TensorInfo& tensor) const {
    return static_cast<const float*>(file_.Data(tensor));
  }

  absl::Status AddProduct(const Visit& visit, const std::string& part, const TensorInfo& tensor,
                          std::vector<float>* sum) const {
    ASSIGN_OR_RETURN(const TensorInfo a, Find(LoraAName(visit, part)));
    ASSIGN_OR_RETURN(const TensorInfo b, Find(LoraBName(visit, part)));
    if (tensor.shape.size() != 2 || a.shape.size() != 2 || b.shape.size() != 2 ||
        b.shape[0] != tensor.shape[0] || a.shape[1] != tensor.shape[1] || a.shape[0] != b.shape[1]) {
      return absl::DataLossError(
          absl::StrCat(kModelFile, ": the low-rank matrices of ", LoraAName(visit, part), " do not fit"));
    }
    const auto rows = static_cast<size_t>(tensor.shape[0]);
    const auto columns = static_cast<size_t>(tensor.shape[1]);
    const auto rank = static_cast<size_t>(a.shape[0]);
    for (size_t row = 0; row < rows; ++row) {
      float* const to = sum->data() + row * columns;
      for (size_t k = 0; k < rank; ++k) {
        const float factor = Values(b)[row * rank + k];
        const float* const from = Values(a) + k * columns;
        for (size_t column = 0; column < columns; ++column) {
          to[column] += factor * from[column];
        }
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<TensorInfo> Find(const std::string& name) const {
    absl::StatusOr<TensorInfo> tensor = file_.Find(name);
    return tensor.ok() ? tensor : absl::DataLossError(absl::StrCat(kModelFile, ": it has no tensor ", name));
  }

  const SafetensorsFile& file_;
  std::vector<TensorBytes> tensors_;
  std::list<std::vector<float>> computed_;
};

// Of the output of a visit's two halves; outside of loops there is none.
std::string GainOf(const Visit& visit, const char* part) { return visit.loop < 0 ? "" : part; }

absl::Status FoldAttention(const Visit& visit, int64_t place, Folded* folded) {
  for (const std::string part :
       {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"}) {
    const std::string gain = part == "self_attn.o_proj" ? GainOf(visit, "self_attn.gain") : "";
    RETURN_IF_ERROR(folded->Matrix(visit, part, gain, place));
    if (folded->Has(BiasName(visit.layer, part))) {
      RETURN_IF_ERROR(folded->Scaled(visit, BiasName(visit.layer, part), gain, BiasName(place, part)));
    }
  }
  for (const char* norm : {"self_attn.q_norm", "self_attn.k_norm"}) {
    if (folded->Has(LayerName(visit.layer, norm))) {
      RETURN_IF_ERROR(folded->Copy(LayerName(visit.layer, norm), LayerName(place, norm)));
    }
  }
  return absl::OkStatus();
}

// Mixtral's names: w1 is the gate's matrix, w3 up, w2 down.
absl::Status FoldExperts(const Visit& visit, int64_t place, int64_t experts, Folded* folded) {
  RETURN_IF_ERROR(folded->Copy(RouterName(visit), LayerName(place, "block_sparse_moe.gate")));
  for (int64_t i = 0; i < experts; ++i) {
    for (const auto& [ours, theirs] :
         {std::pair{"gate_proj", "w1"}, {"down_proj", "w2"}, {"up_proj", "w3"}}) {
      const std::string gain = theirs == absl::string_view("w2") ? GainOf(visit, "mlp.gain") : "";
      RETURN_IF_ERROR(
          folded->Scaled(visit, ExpertName(visit.layer, i, ours), gain,
                         LayerName(place, absl::StrCat("block_sparse_moe.experts.", i, ".", theirs))));
    }
  }
  return absl::OkStatus();
}

absl::Status FoldVisit(const Visit& visit, int64_t place, const ModelShape& shape, Folded* folded) {
  for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
    RETURN_IF_ERROR(folded->Copy(VisitName(visit, norm), LayerName(place, norm)));
  }
  RETURN_IF_ERROR(FoldAttention(visit, place, folded));
  if (shape.routes_ffn()) {
    return FoldExperts(visit, place, shape.experts, folded);
  }
  RETURN_IF_ERROR(folded->Matrix(visit, "mlp.gate_proj", "", place));
  RETURN_IF_ERROR(folded->Matrix(visit, "mlp.up_proj", "", place));
  return folded->Matrix(visit, "mlp.down_proj", GainOf(visit, "mlp.gain"), place);
}

absl::Status FoldModel(const ModelShape& shape, Folded* folded) {
  RETURN_IF_ERROR(folded->Copy(kEmbeddingName, kEmbeddingName));
  int64_t place = 0;
  for (const Visit& visit : VisitsOf(shape)) {
    RETURN_IF_ERROR(FoldVisit(visit, place++, shape, folded));
  }
  RETURN_IF_ERROR(folded->Copy(kFinalNormName, kFinalNormName));
  return shape.tied_embeddings ? absl::OkStatus() : folded->Copy(kHeadName, kHeadName);
}

// Loops have nothing that does not fold into plain layers.
bool Folds(const ModelShape& shape) { return shape.schedule.empty() || shape.serveable; }

absl::StatusOr<bool> RoutersHaveBias(const ModelShape& shape, const SafetensorsFile& weights) {
  for (const Visit& visit : VisitsOf(shape)) {
    const absl::StatusOr<TensorInfo> bias = weights.Find(RouterBiasName(visit));
    if (!bias.ok() || bias->dtype != "F32") {
      return absl::DataLossError(absl::StrCat(kModelFile, ": it has no F32 tensor ", RouterBiasName(visit)));
    }
    const auto* const values = static_cast<const float*>(weights.Data(*bias));
    if (std::any_of(values, values + shape.experts, [](float value) { return value != 0.0F; })) {
      return true;
    }
  }
  return false;
}

std::string MixtralConfig(Json json, const ModelShape& shape) {
  json["architectures"] = {"MixtralForCausalLM"};
  json["model_type"] = "mixtral";
  json["num_local_experts"] = shape.experts;
  json["num_experts_per_tok"] = shape.top_k;
  json["sliding_window"] = nullptr;
  json["output_router_logits"] = false;
  for (const char* other : {"attention_bias", "mlp_bias"}) {
    json.erase(other);
  }
  return json.dump(2) + "\n";
}

}  // namespace

absl::StatusOr<ExportForm> FormOf(const ModelShape& shape, const SafetensorsFile& weights) {
  if (shape.routes_tokens() || !Folds(shape)) {
    return ExportForm::kCode;
  }
  if (!shape.routes_ffn()) {
    return ExportForm::kPlain;
  }
  ASSIGN_OR_RETURN(const bool biased, RoutersHaveBias(shape, weights));
  const bool same = !biased && !shape.qk_norm && shape.attention_bias == v1::ModelConfig::NONE;
  return same ? ExportForm::kMixtral : ExportForm::kCode;
}

absl::StatusOr<std::string> ExportConfig(const ModelShape& shape, ExportForm form, absl::string_view config) {
  Json json = Json::parse(config.begin(), config.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::DataLossError(absl::StrCat(kConfigFile, ": not a JSON object"));
  }
  int64_t positions = shape.positions;
  if (json.contains("max_position_embeddings") && json["max_position_embeddings"].is_number_integer()) {
    positions = json["max_position_embeddings"].get<int64_t>();
  }
  std::string dtype = "float32";
  if (json.contains("torch_dtype") && json["torch_dtype"].is_string()) {
    dtype = json["torch_dtype"].get<std::string>();
  }
  ModelShape exported = shape;
  exported.token_chain = false;
  if (form == ExportForm::kCode) {
    json = Json::parse(HfConfig(exported, positions, dtype));
    json["experts_per_token"] = shape.top_k;  // To transformers top_k is an option of sampling.
    json.erase("top_k");
    json["auto_map"] = {{"AutoConfig", "modeling_cherry.CherryConfig"},
                        {"AutoModelForCausalLM", "modeling_cherry.CherryForCausalLM"}};
    return json.dump(2) + "\n";
  }
  exported.layers = static_cast<int64_t>(VisitsOf(shape).size());
  exported.schedule.clear();
  exported.serveable = false;
  exported.lora_rank = 0;
  exported.experts = 0;
  exported.top_k = 0;
  const std::string plain = HfConfig(exported, positions, dtype);
  return form == ExportForm::kMixtral ? MixtralConfig(Json::parse(plain), shape) : plain;
}

absl::StatusOr<std::vector<std::string>> ExportWeights(const SafetensorsFile& weights,
                                                       const ModelShape& shape, ExportForm form,
                                                       const std::string& directory) {
  const auto write = [&](const char* name, const std::vector<TensorBytes>& tensors) {
    return WriteSafetensors(absl::StrCat(directory, "/", name), tensors, {{"format", "pt"}}).status();
  };
  std::vector<TensorBytes> all, chain;
  for (const TensorInfo& tensor : weights.tensors()) {
    (IsChainName(tensor.name) ? chain : all)
        .push_back({tensor.name, tensor.dtype, tensor.shape, weights.Data(tensor), tensor.bytes});
  }
  std::vector<std::string> files = {kModelFile};
  const bool as_it_is = form == ExportForm::kCode || (shape.schedule.empty() && shape.experts == 0);
  Folded folded(weights);
  if (!as_it_is) {
    RETURN_IF_ERROR(FoldModel(shape, &folded));
  }
  RETURN_IF_ERROR(write(kModelFile, as_it_is ? all : folded.tensors()));
  if (!chain.empty()) {
    files.push_back(kMultiTokenFile);
    RETURN_IF_ERROR(write(kMultiTokenFile, chain));
  }
  return files;
}

}  // namespace cherry::client
