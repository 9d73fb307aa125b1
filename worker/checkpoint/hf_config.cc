#include "worker/checkpoint/hf_config.h"

#include "absl/strings/str_cat.h"
#include "common/manifest.h"
#include "common/schedule.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace cherry::trainer {
namespace {

using Json = nlohmann::ordered_json;

// Of every tokenizer that Cherry trains: <unk>, <s>, </s>.
constexpr int kUnkId = 0;
constexpr int kBosId = 1;
constexpr int kEosId = 2;

// Of models that transformers has no class for.
constexpr char kOwnType[] = "cherry";
constexpr char kFfnRouting[] = "ffn";
constexpr char kTokenRouting[] = "token";

template <typename T>
absl::Status Read(const Json& json, const char* key, T* out) {
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

// Written since there are mixtures; a model of before has none.
absl::Status ReadMixture(const Json& json, ModelShape* shape) {
  if (!json.contains("experts")) {
    return absl::OkStatus();
  }
  std::string routing;
  RETURN_IF_ERROR(Read(json, "experts", &shape->experts));
  RETURN_IF_ERROR(Read(json, "top_k", &shape->top_k));
  RETURN_IF_ERROR(Read(json, "routing", &routing));
  RETURN_IF_ERROR(Read(json, "token_chain", &shape->token_chain));
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

}  // namespace

std::string HfConfig(const ModelShape& shape, int64_t sequence_length) {
  Json json;
  const bool own = !shape.schedule.empty() || shape.experts > 0 || shape.token_chain;
  json["architectures"] = {own             ? "CherryForCausalLM"
                           : shape.qk_norm ? "Qwen3ForCausalLM"
                                           : "LlamaForCausalLM"};
  json["model_type"] = own ? kOwnType : shape.qk_norm ? "qwen3" : "llama";
  if (own) {
    json["schedule"] = shape.schedule;
    json["serveable"] = shape.serveable;
    json["lora_rank"] = shape.lora_rank;
    json["qk_norm"] = shape.qk_norm;
    json["experts"] = shape.experts;
    json["top_k"] = shape.top_k;
    json["routing"] = shape.routing == v1::FuseConfig::TOKEN ? kTokenRouting : kFfnRouting;
    json["token_chain"] = shape.token_chain;
  }
  json["hidden_size"] = shape.dim;
  json["intermediate_size"] = shape.ffn_dim;
  json["num_hidden_layers"] = shape.layers;
  json["num_attention_heads"] = shape.heads;
  json["num_key_value_heads"] = shape.kv_heads;
  json["head_dim"] = shape.head_dim();
  json["vocab_size"] = shape.vocab;
  json["max_position_embeddings"] = sequence_length;
  json["rope_theta"] = shape.rope_theta;
  json["rms_norm_eps"] = shape.norm_eps;
  json["tie_word_embeddings"] = shape.tied_embeddings;
  json["initializer_range"] = shape.init_std;
  json["hidden_act"] = "silu";
  json["attention_bias"] = false;
  json["attention_dropout"] = 0.0;
  if (!shape.qk_norm) {
    json["mlp_bias"] = false;
  }
  json["torch_dtype"] = "float32";
  json["use_cache"] = true;
  json["unk_token_id"] = kUnkId;
  json["bos_token_id"] = kBosId;
  json["eos_token_id"] = kEosId;
  return json.dump(2) + "\n";
}

absl::StatusOr<ModelShape> ParseHfConfig(absl::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::DataLossError(absl::StrCat(kConfigFile, ": not a JSON object"));
  }
  const auto type = json.find("model_type");
  if (type == json.end() || !type->is_string()) {
    return absl::DataLossError(absl::StrCat(kConfigFile, ": 'model_type' is missing or of another type"));
  }
  ModelShape shape;
  shape.qk_norm = *type == "qwen3";
  if (*type == kOwnType) {
    RETURN_IF_ERROR(Read(json, "schedule", &shape.schedule));
    RETURN_IF_ERROR(Read(json, "serveable", &shape.serveable));
    RETURN_IF_ERROR(Read(json, "qk_norm", &shape.qk_norm));
    if (json.contains("lora_rank")) {  // A model of before they were has none.
      RETURN_IF_ERROR(Read(json, "lora_rank", &shape.lora_rank));
    }
    RETURN_IF_ERROR(ReadMixture(json, &shape));
  } else if (!shape.qk_norm && *type != "llama") {
    return absl::UnimplementedError(absl::StrCat(kConfigFile, ": model_type ", type->get<std::string>(),
                                                 " is none of llama, qwen3 and ", kOwnType));
  }
  RETURN_IF_ERROR(Read(json, "hidden_size", &shape.dim));
  RETURN_IF_ERROR(Read(json, "intermediate_size", &shape.ffn_dim));
  RETURN_IF_ERROR(Read(json, "num_hidden_layers", &shape.layers));
  RETURN_IF_ERROR(Read(json, "num_attention_heads", &shape.heads));
  RETURN_IF_ERROR(Read(json, "num_key_value_heads", &shape.kv_heads));
  RETURN_IF_ERROR(Read(json, "vocab_size", &shape.vocab));
  RETURN_IF_ERROR(Read(json, "rope_theta", &shape.rope_theta));
  RETURN_IF_ERROR(Read(json, "rms_norm_eps", &shape.norm_eps));
  RETURN_IF_ERROR(Read(json, "tie_word_embeddings", &shape.tied_embeddings));
  if (shape.heads < 1 || shape.dim < 1 || shape.kv_heads < 1 || shape.layers < 1 || shape.ffn_dim < 1 ||
      shape.vocab < 1 || shape.dim % shape.heads != 0 || shape.heads % shape.kv_heads != 0 ||
      shape.lora_rank < 0 || shape.lora_rank > shape.most_lora_rank()) {
    return absl::DataLossError(absl::StrCat(kConfigFile, ": its sizes do not fit together"));
  }
  RETURN_IF_ERROR(ParseSchedule(shape.schedule, shape.layers).status());
  return shape;
}

}  // namespace cherry::trainer
