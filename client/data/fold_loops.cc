#include "client/data/fold_loops.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/manifest.h"
#include "common/parameter_names.h"
#include "common/safetensors.h"
#include "common/schedule.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace cherry::client {
namespace {

using Json = nlohmann::ordered_json;

absl::StatusOr<Json> Parse(absl::string_view text) {
  Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("num_hidden_layers") ||
      !json["num_hidden_layers"].is_number_integer()) {
    return absl::DataLossError(absl::StrCat(kConfigFile, ": it names no number of layers"));
  }
  return json;
}

absl::StatusOr<std::vector<Visit>> VisitsOf(const Json& json) {
  return ParseSchedule(json.value("schedule", ""), json["num_hidden_layers"].get<int64_t>());
}

// Collects the plain model's tensors; what had to be computed is kept here until they are written.
class Folded {
 public:
  explicit Folded(const SafetensorsFile& file) : file_(file) {}

  absl::Status Copy(const std::string& from, const std::string& to) {
    ASSIGN_OR_RETURN(const TensorInfo tensor, Find(from));
    tensors_.push_back({to, tensor.dtype, tensor.shape, file_.Data(tensor), tensor.bytes});
    return absl::OkStatus();
  }

  absl::Status Scale(const std::string& from, const std::string& gain, const std::string& to) {
    ASSIGN_OR_RETURN(const TensorInfo tensor, Find(from));
    ASSIGN_OR_RETURN(const TensorInfo factor, Find(gain));
    const float by = *static_cast<const float*>(file_.Data(factor));
    const auto* const values = static_cast<const float*>(file_.Data(tensor));
    std::vector<float>& scaled =
        computed_.emplace_back(values, values + tensor.bytes / static_cast<int64_t>(sizeof(float)));
    for (float& value : scaled) {
      value *= by;
    }
    tensors_.push_back({to, tensor.dtype, tensor.shape, scaled.data(), tensor.bytes});
    return absl::OkStatus();
  }

  const std::vector<TensorBytes>& tensors() const { return tensors_; }

 private:
  absl::StatusOr<TensorInfo> Find(const std::string& name) const {
    absl::StatusOr<TensorInfo> tensor = file_.Find(name);
    if (!tensor.ok() || tensor->dtype != "F32") {
      return absl::DataLossError(absl::StrCat(kModelFile, ": it has no F32 tensor ", name));
    }
    return tensor;
  }

  const SafetensorsFile& file_;
  std::vector<TensorBytes> tensors_;
  std::list<std::vector<float>> computed_;
};

absl::Status FoldVisit(const Visit& visit, int64_t place, bool qk_norm, Folded* folded) {
  for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
    RETURN_IF_ERROR(folded->Copy(VisitName(visit, norm), LayerName(place, norm)));
  }
  for (const char* same :
       {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj"}) {
    RETURN_IF_ERROR(folded->Copy(LayerName(visit.layer, same), LayerName(place, same)));
  }
  for (const char* norm : {"self_attn.q_norm", "self_attn.k_norm"}) {
    if (qk_norm) {
      RETURN_IF_ERROR(folded->Copy(LayerName(visit.layer, norm), LayerName(place, norm)));
    }
  }
  for (const auto& [branch, gain] :
       {std::pair{"self_attn.o_proj", "self_attn.gain"}, {"mlp.down_proj", "mlp.gain"}}) {
    RETURN_IF_ERROR(visit.loop < 0 ? folded->Copy(LayerName(visit.layer, branch), LayerName(place, branch))
                                   : folded->Scale(LayerName(visit.layer, branch), VisitName(visit, gain),
                                                   LayerName(place, branch)));
  }
  return absl::OkStatus();
}

}  // namespace

OwnModel OwnModelOf(absl::string_view config) {
  const absl::StatusOr<Json> json = Parse(config);
  OwnModel model;
  if (json.ok()) {
    model.own = json->value("model_type", "") == "cherry";
    model.schedule = json->value("schedule", "");
    model.serveable = json->value("serveable", false);
    model.experts = json->value("experts", int64_t{0});
  }
  return model;
}

absl::StatusOr<std::string> FoldConfig(absl::string_view config) {
  ASSIGN_OR_RETURN(Json json, Parse(config));
  ASSIGN_OR_RETURN(const std::vector<Visit> visits, VisitsOf(json));
  const bool qk_norm = json.value("qk_norm", false);
  json["architectures"] = {qk_norm ? "Qwen3ForCausalLM" : "LlamaForCausalLM"};
  json["model_type"] = qk_norm ? "qwen3" : "llama";
  json["num_hidden_layers"] = visits.size();
  for (const char* own : {"schedule", "serveable", "qk_norm", "experts", "top_k", "routing", "token_chain"}) {
    json.erase(own);
  }
  return json.dump(2) + "\n";
}

absl::Status FoldWeights(const std::string& from, const std::string& to, absl::string_view config) {
  ASSIGN_OR_RETURN(const Json json, Parse(config));
  ASSIGN_OR_RETURN(const std::vector<Visit> visits, VisitsOf(json));
  ASSIGN_OR_RETURN(const std::unique_ptr<SafetensorsFile> file, SafetensorsFile::Open(from));
  Folded folded(*file);
  RETURN_IF_ERROR(folded.Copy("model.embed_tokens.weight", "model.embed_tokens.weight"));
  for (size_t i = 0; i < visits.size(); ++i) {
    RETURN_IF_ERROR(FoldVisit(visits[i], static_cast<int64_t>(i), json.value("qk_norm", false), &folded));
  }
  RETURN_IF_ERROR(folded.Copy("model.norm.weight", "model.norm.weight"));
  if (!json.value("tie_word_embeddings", false)) {
    RETURN_IF_ERROR(folded.Copy("lm_head.weight", "lm_head.weight"));
  }
  return WriteSafetensors(to, folded.tensors(), {{"format", "pt"}}).status();
}

}  // namespace cherry::client
