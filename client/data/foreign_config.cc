#include "client/data/foreign_config.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace cherry::client {
namespace {

// Reads one configuration; the first key that does not fit is its status.
class ForeignConfig {
 public:
  ForeignConfig(nlohmann::json json, std::string path) : json_(std::move(json)), path_(std::move(path)) {}

  absl::StatusOr<ModelShape> Shape();

 private:
  using Value = nlohmann::json;

  void Refuse(absl::string_view key, absl::string_view what, absl::string_view remedy) {
    if (status_.ok()) {
      status_ = InvalidField("MODEL_UNSUPPORTED", key, absl::StrCat(path_, ": ", key, ": ", what), remedy);
    }
  }
  // The value at `key`; null where it is not there or is null.
  static const Value* Find(const Value& in, const char* key) {
    const auto found = in.find(key);
    return found == in.end() || found->is_null() ? nullptr : &*found;
  }
  int64_t Integer(const char* key, int64_t otherwise);
  double Real(const Value& in, const char* key, double otherwise);
  bool Flag(const char* key, bool otherwise);
  // Refuses any value but `only`, which is what a missing one means.
  void Only(const char* key, const Value& only, absl::string_view remedy);
  void ReadType(ModelShape* shape);
  void ReadRope(ModelShape* shape);
  void ReadTokens(ModelShape* shape);

  const Value json_;
  const std::string path_;
  absl::Status status_;
};

int64_t ForeignConfig::Integer(const char* key, int64_t otherwise) {
  const Value* const value = Find(json_, key);
  if (value == nullptr && otherwise >= 0) {
    return otherwise;
  }
  if (value == nullptr || !value->is_number_integer() || value->get<int64_t>() < 1) {
    Refuse(key, value == nullptr ? "is missing" : absl::StrCat(value->dump(), " is not a positive number"),
           "give the config.json that the model was saved with");
    return 1;
  }
  return value->get<int64_t>();
}

double ForeignConfig::Real(const Value& in, const char* key, double otherwise) {
  const Value* const value = Find(in, key);
  if (value != nullptr && !value->is_number()) {
    Refuse(key, absl::StrCat(value->dump(), " is not a number"),
           "give the config.json that the model was saved with");
    return otherwise;
  }
  return value == nullptr ? otherwise : value->get<double>();
}

bool ForeignConfig::Flag(const char* key, bool otherwise) {
  const Value* const value = Find(json_, key);
  if (value != nullptr && !value->is_boolean()) {
    Refuse(key, absl::StrCat(value->dump(), " is neither true nor false"),
           "give the config.json that the model was saved with");
    return otherwise;
  }
  return value == nullptr ? otherwise : value->get<bool>();
}

void ForeignConfig::Only(const char* key, const Value& only, absl::string_view remedy) {
  const Value* const value = Find(json_, key);
  if (value != nullptr && *value != only) {
    Refuse(key, absl::StrCat(value->dump(), " is not supported"), remedy);
  }
}

void ForeignConfig::ReadType(ModelShape* shape) {
  const Value* const value = Find(json_, "model_type");
  const std::string type = value != nullptr && value->is_string() ? value->get<std::string>() : "";
  if (type != "llama" && type != "qwen2" && type != "qwen3") {
    Refuse("model_type", absl::StrCat("'", type, "' is not supported"),
           "import a model of type llama, qwen2 or qwen3");
  }
  shape->qk_norm = type == "qwen3";
  const bool bias = Flag("attention_bias", false);
  shape->attention_bias = type == "qwen2" ? v1::ModelConfig::QKV
                          : bias          ? v1::ModelConfig::ALL
                                          : v1::ModelConfig::NONE;
  constexpr int64_t kQwen3Width = 128;  // Whatever its dim.
  const int64_t width = Integer("head_dim", type == "qwen3" ? kQwen3Width : 0);
  shape->head_width = width * shape->heads == shape->dim ? 0 : width;
  Only("mlp_bias", false, "biases of feed-forward layers are not possible");
  Only("hidden_act", "silu", "only SwiGLU is possible: hidden_act silu");
  Only("use_sliding_window", false, "attention sees the whole text: import a model without sliding windows");
  Only("partial_rotary_factor", 1.0, "RoPE turns all channels");
  if (Find(json_, "quantization_config") != nullptr) {
    Refuse("quantization_config", "quantized weights are not supported",
           "import the model it was quantized from, in float32, bfloat16 or float16");
  }
  if (const Value* layers = Find(json_, "layer_types"); layers != nullptr && layers->is_array()) {
    for (const Value& layer : *layers) {
      if (layer != "full_attention") {
        Refuse("layer_types", absl::StrCat(layer.dump(), " is not supported"),
               "attention sees the whole text: every layer is full_attention");
      }
    }
  }
}

// Transformers 5 keeps what belongs to RoPE together; before it was apart.
void ForeignConfig::ReadRope(ModelShape* shape) {
  constexpr double kUsualTheta = 10000.0;
  const Value* const together = Find(json_, "rope_parameters");
  const Value* const apart = Find(json_, "rope_scaling");
  const Value none = Value::object();
  const Value& in = together != nullptr && together->is_object() ? *together
                    : apart != nullptr && apart->is_object()     ? *apart
                                                                 : none;
  shape->rope_theta = Real(in, "rope_theta", Real(json_, "rope_theta", kUsualTheta));
  const Value* type = Find(in, "rope_type");
  type = type == nullptr ? Find(in, "type") : type;
  if (type == nullptr || *type == "default") {
    return;
  }
  v1::RopeScaling& scaling = shape->rope_scaling;
  scaling.set_factor(Real(in, "factor", 0.0));
  if (*type == "linear") {
    scaling.set_type(v1::RopeScaling::LINEAR);
  } else if (*type == "llama3") {
    scaling.set_type(v1::RopeScaling::LLAMA3);
    scaling.set_low_freq_factor(Real(in, "low_freq_factor", 0.0));
    scaling.set_high_freq_factor(Real(in, "high_freq_factor", 0.0));
    scaling.set_original_positions(static_cast<int32_t>(
        Real(in, "original_max_position_embeddings", static_cast<double>(shape->positions))));
  } else {
    Refuse("rope_scaling.rope_type", absl::StrCat(type->dump(), " is not supported"),
           "default, linear and llama3 are possible; without rope_scaling the model is exact up to the "
           "positions it was "
           "first trained on");
  }
}

void ForeignConfig::ReadTokens(ModelShape* shape) {
  shape->end_tokens.clear();
  const Value* const end = Find(json_, "eos_token_id");
  const Value ends = end == nullptr ? Value::array() : end->is_array() ? *end : Value::array({*end});
  for (const Value& token : ends) {
    if (token.is_number_integer()) {
      shape->end_tokens.push_back(token.get<int32_t>());
    }
  }
}

absl::StatusOr<ModelShape> ForeignConfig::Shape() {
  constexpr double kUsualEps = 1e-6, kUsualStd = 0.02;
  constexpr int64_t kUsualPositions = 2048;
  ModelShape shape;
  shape.layers = Integer("num_hidden_layers", -1);
  shape.dim = Integer("hidden_size", -1);
  shape.heads = Integer("num_attention_heads", -1);
  shape.kv_heads = Integer("num_key_value_heads", shape.heads);
  shape.ffn_dim = Integer("intermediate_size", -1);
  shape.vocab = Integer("vocab_size", -1);
  shape.positions = Integer("max_position_embeddings", kUsualPositions);
  shape.tied_embeddings = Flag("tie_word_embeddings", false);
  shape.norm_eps = Real(json_, "rms_norm_eps", kUsualEps);
  shape.init_std = Real(json_, "initializer_range", kUsualStd);
  ReadType(&shape);
  ReadRope(&shape);
  ReadTokens(&shape);
  RETURN_IF_ERROR(status_);
  const absl::StatusOr<ModelShape> checked = ResolveModel(ToConfig(shape), 0);
  if (!checked.ok()) {
    return Annotate(checked.status(), path_);
  }
  return shape;
}

}  // namespace

absl::StatusOr<ModelShape> ParseForeignConfig(absl::string_view text, const std::string& path) {
  nlohmann::json json = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return InvalidField("MODEL_UNSUPPORTED", "config.json", absl::StrCat(path, ": not a JSON object"),
                        "give the config.json that the model was saved with");
  }
  return ForeignConfig(std::move(json), path).Shape();
}

}  // namespace cherry::client
