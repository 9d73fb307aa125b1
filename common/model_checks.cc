#include "common/model_checks.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/spec_checks.h"
#include "common/status.h"

namespace cherry {
namespace {

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) {
    return absl::OkStatus();
  }
  return InvalidField("OUT_OF_RANGE", field, absl::StrCat(field, ": ", value, " is not in ", low, "..", high),
                      absl::StrCat("give a value from ", low, " to ", high));
}

absl::Status CheckDivides(absl::string_view field, int64_t part, absl::string_view whole_name,
                          int64_t whole) {
  if (whole % part == 0) {
    return absl::OkStatus();
  }
  return InvalidField("NOT_DIVISIBLE", field,
                      absl::StrCat(field, ": ", part, " does not divide ", whole_name, " = ", whole),
                      absl::StrCat("change ", field, " or ", whole_name));
}

absl::Status CheckLora(const ModelShape& shape) {
  const std::string field = "model.lora_rank";
  RETURN_IF_ERROR(CheckRange(field, shape.lora_rank, 1, shape.most_lora_rank()));
  const std::string given = absl::StrCat(field, ": ", shape.lora_rank);
  const std::vector<Visit> visits = VisitsOf(shape);
  if (std::none_of(visits.begin(), visits.end(), [](const Visit& visit) { return visit.loop >= 0; })) {
    return InvalidField("FIELD_NOT_ALLOWED", field,
                        absl::StrCat(given, " belongs to the visits of loops, and there are none"),
                        "give model.schedule a loop, e.g. 1 + 4x8 + 1, or give 0");
  }
  if (shape.routes_ffn()) {
    return InvalidField("FIELD_NOT_ALLOWED", field,
                        absl::StrCat(given, " is not possible with experts that are FFNs"),
                        "use model.routing: token, or give 0");
  }
  return absl::OkStatus();
}

absl::Status CheckRopeScaling(const ModelShape& shape) {
  const v1::RopeScaling& scaling = shape.rope_scaling;
  if (scaling.type() == v1::RopeScaling::DEFAULT) {
    return absl::OkStatus();
  }
  if (!(scaling.factor() >= 1.0 && scaling.factor() < 1e6)) {
    return InvalidField("OUT_OF_RANGE", "model.rope_scaling.factor",
                        absl::StrCat("model.rope_scaling.factor: ", scaling.factor(), " is not in [1, 1e6)"),
                        "give a factor of 1 or more");
  }
  if (scaling.type() == v1::RopeScaling::LINEAR) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(
      CheckRange("model.rope_scaling.original_positions", scaling.original_positions(), 1, 1 << 30));
  if (!(scaling.low_freq_factor() > 0.0 && scaling.high_freq_factor() > scaling.low_freq_factor() &&
        scaling.high_freq_factor() < 1e6)) {
    return InvalidField(
        "OUT_OF_RANGE", "model.rope_scaling.high_freq_factor",
        absl::StrCat("model.rope_scaling: 0 < low_freq_factor < high_freq_factor does not hold of ",
                     scaling.low_freq_factor(), " and ", scaling.high_freq_factor()),
        "Llama 3.1 has 1 and 4");
  }
  return absl::OkStatus();
}

absl::Status CheckSizes(const ModelShape& shape) {
  RETURN_IF_ERROR(CheckRange("model.layers", shape.layers, 1, 512));
  RETURN_IF_ERROR(CheckRange("model.dim", shape.dim, 2, 65536));
  RETURN_IF_ERROR(CheckRange("model.heads", shape.heads, 1, 1024));
  RETURN_IF_ERROR(CheckRange("model.kv_heads", shape.kv_heads, 1, 1024));
  RETURN_IF_ERROR(CheckRange("model.ffn_dim", shape.ffn_dim, 1, 1 << 20));
  RETURN_IF_ERROR(CheckRange("model.vocab", shape.vocab, 2, 1 << 24));
  if (shape.head_width == 0) {
    RETURN_IF_ERROR(CheckDivides("model.heads", shape.heads, "model.dim", shape.dim));
  } else {
    RETURN_IF_ERROR(CheckRange("model.head_dim", shape.head_width, 2, 4096));
  }
  RETURN_IF_ERROR(CheckDivides("model.kv_heads", shape.kv_heads, "model.heads", shape.heads));
  if (shape.head_dim() % 2 != 0) {
    return InvalidField("NOT_DIVISIBLE", "model.heads",
                        absl::StrCat("model.heads: ", shape.heads, " heads of dim ", shape.dim, " have ",
                                     shape.head_dim(), " channels each, an odd number"),
                        "RoPE turns pairs of channels: make model.dim / model.heads or model.head_dim even");
  }
  if (shape.qk_norm && shape.attention_bias == v1::ModelConfig::QKV) {
    return InvalidField(
        "FIELD_NOT_ALLOWED", "model.attention_bias",
        "model.attention_bias: qkv is not possible with qk_norm: transformers has no such model",
        "use all or none, or leave qk_norm out");
  }
  RETURN_IF_ERROR(CheckRopeScaling(shape));
  if (shape.experts != 0) {
    RETURN_IF_ERROR(CheckRange("model.experts", shape.experts, 2, 64));
    RETURN_IF_ERROR(CheckRange("model.top_k", shape.top_k, 1, shape.experts));
    RETURN_IF_ERROR(CheckReal("model.balance_rate", shape.balance_rate, 0.0, 10.0));
  }
  for (const auto& [field, value] : {std::pair<const char*, double>{"model.rope_theta", shape.rope_theta},
                                     {"model.norm_eps", shape.norm_eps},
                                     {"model.init_std", shape.init_std}}) {
    if (!(value > 0.0 && value < 1e12)) {
      return InvalidField("OUT_OF_RANGE", field,
                          absl::StrCat(field, ": ", value, " is not a positive number"),
                          "leave it out for the default");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckShape(const ModelShape& shape) {
  RETURN_IF_ERROR(CheckSizes(shape));
  RETURN_IF_ERROR(ParseSchedule(shape.schedule, shape.layers).status());
  return shape.lora_rank != 0 ? CheckLora(shape) : absl::OkStatus();
}

absl::Status CheckVocabulary(const ModelShape& shape, int64_t dataset_vocab) {
  if (shape.vocab == 0) {
    return InvalidField("VOCABULARY_UNKNOWN", "model.vocab",
                        "model.vocab: neither the job nor its dataset gives it",
                        "give model.vocab, or data.train with a registered dataset");
  }
  if (shape.vocab < dataset_vocab) {
    return InvalidField(
        "VOCABULARY_MISMATCH", "model.vocab",
        absl::StrCat("model.vocab: ", shape.vocab, " is smaller than the dataset's ", dataset_vocab),
        absl::StrCat("use ", dataset_vocab, " or more (the rest is padding), or leave it out"));
  }
  return absl::OkStatus();
}

}  // namespace cherry
