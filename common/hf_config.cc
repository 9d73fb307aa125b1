#include "common/hf_config.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/manifest.h"
#include "common/schedule.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace cherry {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kUnkId = 0;  // Of every tokenizer that Cherry trains.

// Of models that transformers has no class for.
constexpr char kOwnType[] = "cherry";
constexpr char kFfnRouting[] = "ffn";
constexpr char kTokenRouting[] = "token";
constexpr char kBiases[][5] = {"none", "qkv", "all"};

template <typename T>
absl::Status ReadKey(const Json& json, const char* key, T* out) {
  const auto found = json.find(key);
  const bool fits = found != json.end() && (std::is_same_v<T, bool>          ? found->is_boolean()
                                            : std::is_same_v<T, std::string> ? found->is_string()
                                            : std::is_integral_v<T>          ? found->is_number_integer()
                                                                             : found->is_number());
  if (!fits) {
    return absl::DataLossError(absl::StrCat(kConfigFile, ": '", key, "' is missing or of another type"));
  }
  *out = found->template get<T>();
  return absl::OkStatus();
}

// A key that an older config.json may lack.
template <typename T>
absl::Status ReadIfThere(const Json& json, const char* key, T* out) {
  return json.contains(key) ? ReadKey(json, key, out) : absl::OkStatus();
}

// Written since there are mixtures; a model of before has none.
absl::Status ReadMixture(const Json& json, ModelShape* shape) {
  if (!json.contains("experts")) {
    return absl::OkStatus();
  }
  std::string routing;
  RETURN_IF_ERROR(ReadKey(json, "experts", &shape->experts));
  RETURN_IF_ERROR(ReadKey(json, "top_k", &shape->top_k));
  RETURN_IF_ERROR(ReadKey(json, "routing", &routing));
  RETURN_IF_ERROR(ReadKey(json, "token_chain", &shape->token_chain));
  if (routing != kFfnRouting && routing != kTokenRouting) {
    return absl::DataLossError(
        absl::StrCat(kConfigFile, ": routing '", routing, "' is neither ffn nor token"));
  }
  shape->routing = routing == kTokenRouting ? v1::FuseConfig::TOKEN : v1::FuseConfig::FFN;
  const bool fits = shape->experts == 0
                        ? shape->top_k == 0
                        : shape->experts >= 2 && shape->top_k >= 1 && shape->top_k <= shape->experts;
  return fits ? absl::OkStatus()
              : absl::DataLossError(absl::StrCat(kConfigFile, ": experts and top_k do not fit"));
}

// What is true of every class: RoPE's frequencies as `rope_scaling` has them.
Json RopeScalingJson(const v1::RopeScaling& scaling) {
  if (scaling.type() == v1::RopeScaling::LINEAR) {
    return {{"rope_type", "linear"}, {"factor", scaling.factor()}};
  }
  return {{"rope_type", "llama3"},
          {"factor", scaling.factor()},
          {"low_freq_factor", scaling.low_freq_factor()},
          {"high_freq_factor", scaling.high_freq_factor()},
          {"original_max_position_embeddings", scaling.original_positions()}};
}

absl::Status ReadRopeScaling(const Json& json, v1::RopeScaling* scaling) {
  const auto found = json.find("rope_scaling");
  if (found == json.end() || found->is_null()) {
    return absl::OkStatus();
  }
  std::string type;
  double factor = 0.0;
  RETURN_IF_ERROR(ReadKey(*found, "rope_type", &type));
  RETURN_IF_ERROR(ReadKey(*found, "factor", &factor));
  scaling->set_factor(factor);
  scaling->set_type(v1::RopeScaling::LINEAR);
  if (type == "linear") {
    return absl::OkStatus();
  }
  double low = 0.0, high = 0.0;
  int32_t original = 0;
  RETURN_IF_ERROR(ReadKey(*found, "low_freq_factor", &low));
  RETURN_IF_ERROR(ReadKey(*found, "high_freq_factor", &high));
  RETURN_IF_ERROR(ReadKey(*found, "original_max_position_embeddings", &original));
  scaling->set_type(v1::RopeScaling::LLAMA3);
  scaling->set_low_freq_factor(low);
  scaling->set_high_freq_factor(high);
  scaling->set_original_positions(original);
  return type == "llama3"
             ? absl::OkStatus()
             : absl::DataLossError(absl::StrCat(kConfigFile, ": rope_type '", type, "' is unknown"));
}

// Written since models are imported; one of before has the ids of Cherry's own tokenizers.
absl::Status ReadTokens(const Json& json, ModelShape* shape) {
  RETURN_IF_ERROR(ReadIfThere(json, "bos_token_id", &shape->begin_token));
  const auto end = json.find("eos_token_id");
  if (end == json.end()) {
    return absl::OkStatus();
  }
  const Json ids = end->is_array() ? *end : Json::array({*end});
  shape->end_tokens.clear();
  for (const Json& id : ids) {
    if (!id.is_number_integer()) {
      return absl::DataLossError(absl::StrCat(kConfigFile, ": eos_token_id is no token"));
    }
    shape->end_tokens.push_back(id.get<int32_t>());
  }
  return shape->end_tokens.empty() ? absl::DataLossError(absl::StrCat(kConfigFile, ": eos_token_id is empty"))
                                   : absl::OkStatus();
}

struct ModelClass {
  const char* architecture;
  const char* type;
};

ModelClass ClassOf(const ModelShape& shape) {
  if (!shape.schedule.empty() || shape.experts > 0 || shape.token_chain) {
    return {"CherryForCausalLM", kOwnType};
  }
  if (shape.qk_norm) {
    return {"Qwen3ForCausalLM", "qwen3"};
  }
  return shape.attention_bias == v1::ModelConfig::QKV ? ModelClass{"Qwen2ForCausalLM", "qwen2"}
                                                      : ModelClass{"LlamaForCausalLM", "llama"};
}

void WriteOwn(const ModelShape& shape, Json* json) {
  (*json)["schedule"] = shape.schedule;
  (*json)["serveable"] = shape.serveable;
  (*json)["lora_rank"] = shape.lora_rank;
  (*json)["qk_norm"] = shape.qk_norm;
  (*json)["biases"] = kBiases[shape.attention_bias];
  (*json)["experts"] = shape.experts;
  (*json)["top_k"] = shape.top_k;
  (*json)["routing"] = shape.routing == v1::FuseConfig::TOKEN ? kTokenRouting : kFfnRouting;
  (*json)["token_chain"] = shape.token_chain;
}

absl::Status ReadOwn(const Json& json, ModelShape* shape) {
  RETURN_IF_ERROR(ReadKey(json, "schedule", &shape->schedule));
  RETURN_IF_ERROR(ReadKey(json, "serveable", &shape->serveable));
  RETURN_IF_ERROR(ReadKey(json, "qk_norm", &shape->qk_norm));
  std::string biases = kBiases[0];
  RETURN_IF_ERROR(ReadIfThere(json, "lora_rank", &shape->lora_rank));
  RETURN_IF_ERROR(ReadIfThere(json, "biases", &biases));
  const auto* const named = std::find(std::begin(kBiases), std::end(kBiases), biases);
  if (named == std::end(kBiases)) {
    return absl::DataLossError(absl::StrCat(kConfigFile, ": biases '", biases, "' is unknown"));
  }
  shape->attention_bias = static_cast<v1::ModelConfig::Bias>(named - std::begin(kBiases));
  return ReadMixture(json, shape);
}

absl::Status ReadClass(const Json& json, ModelShape* shape) {
  std::string type;
  RETURN_IF_ERROR(ReadKey(json, "model_type", &type));
  if (type == kOwnType) {
    return ReadOwn(json, shape);
  }
  shape->qk_norm = type == "qwen3";
  bool bias = false;
  RETURN_IF_ERROR(ReadIfThere(json, "attention_bias", &bias));
  shape->attention_bias = type == "qwen2" ? v1::ModelConfig::QKV
                          : bias          ? v1::ModelConfig::ALL
                                          : v1::ModelConfig::NONE;
  return type == "llama" || type == "qwen2" || type == "qwen3"
             ? absl::OkStatus()
             : absl::UnimplementedError(absl::StrCat(kConfigFile, ": model_type ", type,
                                                     " is none of llama, qwen2, qwen3 and ", kOwnType));
}

}  // namespace

std::string HfConfig(const ModelShape& shape, int64_t sequence_length, absl::string_view dtype) {
  Json json;
  const ModelClass model = ClassOf(shape);
  json["architectures"] = {model.architecture};
  json["model_type"] = model.type;
  if (model.type == absl::string_view(kOwnType)) {
    WriteOwn(shape, &json);
  }
  json["hidden_size"] = shape.dim;
  json["intermediate_size"] = shape.ffn_dim;
  json["num_hidden_layers"] = shape.layers;
  json["num_attention_heads"] = shape.heads;
  json["num_key_value_heads"] = shape.kv_heads;
  json["head_dim"] = shape.head_dim();
  json["vocab_size"] = shape.vocab;
  json["max_position_embeddings"] = std::max(sequence_length, shape.positions);
  json["rope_theta"] = shape.rope_theta;
  if (shape.rope_scaling.type() != v1::RopeScaling::DEFAULT) {
    json["rope_scaling"] = RopeScalingJson(shape.rope_scaling);
  }
  json["rms_norm_eps"] = shape.norm_eps;
  json["tie_word_embeddings"] = shape.tied_embeddings;
  json["initializer_range"] = shape.init_std;
  json["hidden_act"] = "silu";
  json["attention_bias"] = shape.attention_bias == v1::ModelConfig::ALL;
  json["attention_dropout"] = 0.0;
  if (!shape.qk_norm) {
    json["mlp_bias"] = false;
  }
  json["torch_dtype"] = std::string(dtype);
  json["use_cache"] = true;
  if (shape.begin_token == kBeginToken && shape.end_tokens == std::vector<int32_t>{kEndToken}) {
    json["unk_token_id"] = kUnkId;
  }
  json["bos_token_id"] = shape.begin_token;
  if (shape.end_tokens.size() == 1) {
    json["eos_token_id"] = shape.end_tokens.front();
  } else {
    json["eos_token_id"] = shape.end_tokens;
  }
  return json.dump(2) + "\n";
}

absl::StatusOr<ModelShape> ParseHfConfig(absl::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::DataLossError(absl::StrCat(kConfigFile, ": not a JSON object"));
  }
  ModelShape shape;
  RETURN_IF_ERROR(ReadClass(json, &shape));
  RETURN_IF_ERROR(ReadKey(json, "hidden_size", &shape.dim));
  RETURN_IF_ERROR(ReadKey(json, "intermediate_size", &shape.ffn_dim));
  RETURN_IF_ERROR(ReadKey(json, "num_hidden_layers", &shape.layers));
  RETURN_IF_ERROR(ReadKey(json, "num_attention_heads", &shape.heads));
  RETURN_IF_ERROR(ReadKey(json, "num_key_value_heads", &shape.kv_heads));
  RETURN_IF_ERROR(ReadKey(json, "vocab_size", &shape.vocab));
  RETURN_IF_ERROR(ReadKey(json, "rope_theta", &shape.rope_theta));
  RETURN_IF_ERROR(ReadKey(json, "rms_norm_eps", &shape.norm_eps));
  RETURN_IF_ERROR(ReadKey(json, "tie_word_embeddings", &shape.tied_embeddings));
  RETURN_IF_ERROR(ReadIfThere(json, "head_dim", &shape.head_width));
  shape.head_width = shape.head_width * shape.heads == shape.dim ? 0 : shape.head_width;
  RETURN_IF_ERROR(ReadRopeScaling(json, &shape.rope_scaling));
  RETURN_IF_ERROR(ReadTokens(json, &shape));
  const bool width =
      shape.heads >= 1 && (shape.head_width > 0 || (shape.head_width == 0 && shape.dim % shape.heads == 0));
  if (!width || shape.dim < 1 || shape.kv_heads < 1 || shape.layers < 1 || shape.ffn_dim < 1 ||
      shape.vocab < 1 || shape.head_dim() % 2 != 0 || shape.heads % shape.kv_heads != 0 ||
      shape.lora_rank < 0 || shape.lora_rank > shape.most_lora_rank()) {
    return absl::DataLossError(absl::StrCat(kConfigFile, ": its sizes do not fit together"));
  }
  RETURN_IF_ERROR(ParseSchedule(shape.schedule, shape.layers).status());
  return shape;
}

}  // namespace cherry
