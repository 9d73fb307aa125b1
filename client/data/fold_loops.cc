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

  // The matrix `part` of a visit as layer `place` has it: g (W + B A), g being 1 where `gain` is empty.
  // REQUIRES: a visit of a loop.
  absl::Status Matrix(const Visit& visit, const std::string& part, const std::string& gain, int64_t place) {
    ASSIGN_OR_RETURN(const TensorInfo tensor, Find(LayerName(visit.layer, part)));
    const bool lora = file_.Find(LoraAName(visit, part)).ok();
    if (gain.empty() && !lora) {
      return Copy(LayerName(visit.layer, part), LayerName(place, part));
    }
    const float* const values = Values(tensor);
    std::vector<float>& folded =
        computed_.emplace_back(values, values + tensor.bytes / static_cast<int64_t>(sizeof(float)));
    if (lora) {
      RETURN_IF_ERROR(AddProduct(visit, part, tensor, &folded));
    }
    if (!gain.empty()) {
      ASSIGN_OR_RETURN(const TensorInfo factor, Find(VisitName(visit, gain)));
      const float by = *Values(factor);
      for (float& value : folded) {
        value *= by;
      }
    }
    tensors_.push_back({LayerName(place, part), tensor.dtype, tensor.shape, folded.data(), tensor.bytes});
    return absl::OkStatus();
  }

  const std::vector<TensorBytes>& tensors() const { return tensors_; }

 private:
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
  for (const char* norm : {"self_attn.q_norm", "self_attn.k_norm"}) {
    if (qk_norm) {
      RETURN_IF_ERROR(folded->Copy(LayerName(visit.layer, norm), LayerName(place, norm)));
    }
  }
  for (const std::string part : kLayerMatrices) {
    const std::string gain = part == "self_attn.o_proj" ? "self_attn.gain"
                             : part == "mlp.down_proj"  ? "mlp.gain"
                                                        : "";
    RETURN_IF_ERROR(visit.loop < 0 ? folded->Copy(LayerName(visit.layer, part), LayerName(place, part))
                                   : folded->Matrix(visit, part, gain, place));
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
  for (const char* own :
       {"schedule", "serveable", "lora_rank", "qk_norm", "experts", "top_k", "routing", "token_chain"}) {
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
