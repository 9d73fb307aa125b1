#include "common/model_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/model_checks.h"
#include "common/nearest.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {
namespace {

struct PresetEntry {
  const char* name;
  int32_t layers;
  int32_t dim;
  int32_t heads;
  int32_t ffn_dim;
  int32_t vocab;  // 0: from the dataset.
  bool tied;
  int32_t experts = 0;
  v1::FuseConfig::Routing routing = v1::FuseConfig::FFN;
};

constexpr PresetEntry kPresets[] = {
    {"tiny", 4, 128, 4, 384, 0, false},
    {"mini", 6, 256, 4, 768, 0, false},
    {"small", 8, 512, 8, 1408, 0, false},
    {"llama-124m", 12, 768, 12, 2048, 0, true},
    {"cherry-227m", 6, 1280, 20, 3200, 44544, false},
    {"cherry-566m", 24, 1280, 20, 3200, 44544, false},
    {"cherry-1b", 48, 1280, 20, 3200, 44544, false},
    {"cherry-1.8b", 6, 1280, 20, 3200, 44544, false, 8, v1::FuseConfig::TOKEN},
    {"cherry-moee-743m", 6, 1280, 20, 3200, 44544, false, 8, v1::FuseConfig::FFN},
};

int64_t AttentionMatrices(const ModelShape& shape) {
  const int64_t kv_dim = shape.kv_heads * shape.head_dim();
  return 2 * shape.dim * shape.query_dim() + 2 * shape.dim * kv_dim;
}

int64_t FfnMatrices(const ModelShape& shape) { return 3 * shape.dim * shape.ffn_dim; }

// Elements of the weight matrices of one layer that has `ffns` FFNs.
int64_t LayerMatrices(const ModelShape& shape, int64_t ffns) {
  return AttentionMatrices(shape) + ffns * FfnMatrices(shape);
}

int64_t AttentionBiases(const ModelShape& shape) {
  const int64_t qkv = shape.query_dim() + 2 * shape.kv_heads * shape.head_dim();
  return shape.attention_bias == v1::ModelConfig::NONE  ? 0
         : shape.attention_bias == v1::ModelConfig::QKV ? qkv
                                                        : qkv + shape.dim;
}

// Norms and biases.
int64_t LayerVectors(const ModelShape& shape) {
  return 2 * shape.dim + (shape.qk_norm ? 2 * shape.head_dim() : 0) + AttentionBiases(shape);
}

// Each visit has a router of its own: a row and a bias for each expert.
int64_t Routers(const ModelShape& shape) {
  return shape.routes_ffn() ? static_cast<int64_t>(VisitsOf(shape).size()) * shape.experts * (shape.dim + 1)
                            : 0;
}

// Two norms of what it reads, the matrix that joins them, a layer and a last norm.
int64_t ChainMatrices(const ModelShape& shape) { return 2 * shape.dim * shape.dim + LayerMatrices(shape, 1); }
int64_t ChainParameters(const ModelShape& shape) {
  return shape.token_chain ? ChainMatrices(shape) + LayerVectors(shape) + 3 * shape.dim : 0;
}

// Elements of the two matrices of each product that a visit adds to the matrices of its layer.
int64_t LoraMatrices(const ModelShape& shape) {
  const int64_t kv_dim = shape.kv_heads * shape.head_dim();
  return shape.lora_rank *
         (2 * (shape.dim + shape.query_dim()) + 2 * (shape.dim + kv_dim) + 3 * (shape.dim + shape.ffn_dim));
}

// What loops add to their layers: two gains and two more norms for each visit but the first norms, the
// low-rank products, and unless they are serveable a gain and a vector for each round and one injection
// matrix a loop.
int64_t LoopParameters(const ModelShape& shape) {
  int64_t count = 0;
  for (const Visit& visit : VisitsOf(shape)) {
    if (visit.loop < 0) {
      continue;
    }
    count += 2 + (visit.round > 0 ? 2 * shape.dim : 0) + LoraMatrices(shape);
    if (visit.begins_round && !shape.serveable) {
      count += 1 + shape.dim + (visit.round == 0 ? shape.dim * shape.dim : 0);
    }
  }
  return count;
}

// Elements of the matrices that loops add, once for each time that they are applied.
int64_t LoopProducts(const ModelShape& shape) {
  int64_t count = 0;
  for (const Visit& visit : VisitsOf(shape)) {
    count += visit.begins_round && !shape.serveable ? shape.dim * shape.dim : 0;
    count += visit.loop >= 0 ? LoraMatrices(shape) : 0;
  }
  return count;
}

// Without the chain, and where experts are FFNs with `ffns` of them in each layer.
int64_t CountTrunk(const ModelShape& shape, int64_t ffns) {
  const int64_t embeddings = (shape.tied_embeddings ? 1 : 2) * shape.vocab * shape.dim;
  return shape.layers * (LayerMatrices(shape, ffns) + LayerVectors(shape)) + embeddings + shape.dim +
         LoopParameters(shape) + Routers(shape);
}

// A row and a bias for each model.
int64_t GateParameters(const ModelShape& shape) { return shape.experts * (shape.dim + 1); }

}  // namespace

double UsualBalanceRate(v1::FuseConfig::Balance balance) {
  return balance == v1::FuseConfig::SWITCH ? 0.01 : 0.001;
}

std::vector<Visit> VisitsOf(const ModelShape& shape) {
  return ParseSchedule(shape.schedule, shape.layers).value_or(std::vector<Visit>());
}

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (const PresetEntry& preset : kPresets) {
    names.push_back(preset.name);
  }
  return names;
}

absl::StatusOr<v1::ModelConfig> PresetConfig(absl::string_view name) {
  for (const PresetEntry& preset : kPresets) {
    if (name == preset.name) {
      v1::ModelConfig config;
      config.set_preset(preset.name);
      config.set_layers(preset.layers);
      config.set_dim(preset.dim);
      config.set_heads(preset.heads);
      config.set_ffn_dim(preset.ffn_dim);
      config.set_tied_embeddings(preset.tied);
      if (preset.vocab != 0) {
        config.set_vocab(preset.vocab);
      }
      if (preset.experts != 0) {
        config.set_experts(preset.experts);
        config.set_routing(preset.routing);
      }
      return config;
    }
  }
  const std::string near = Nearest(name, PresetNames());
  return Error(absl::StatusCode::kNotFound, "PRESET_UNKNOWN", "model.preset",
               absl::StrCat("model.preset: there is no '", name, "'"),
               near.empty() ? absl::StrCat("use one of ", absl::StrJoin(PresetNames(), ", "))
                            : absl::StrCat("did you mean ", near, "? `cherry get presets` lists all"));
}

absl::StatusOr<ModelShape> ResolveModel(const v1::ModelConfig& given, int64_t dataset_vocab) {
  v1::ModelConfig config;
  if (!given.preset().empty()) {
    ASSIGN_OR_RETURN(config, PresetConfig(given.preset()));
  }
  config.MergeFrom(given);
  for (const auto& [field, present] : {std::pair<const char*, bool>{"layers", config.has_layers()},
                                       {"dim", config.has_dim()},
                                       {"heads", config.has_heads()},
                                       {"ffn_dim", config.has_ffn_dim()}}) {
    if (!present) {
      return InvalidField("FIELD_REQUIRED", absl::StrCat("model.", field),
                          absl::StrCat("model.", field, ": neither it nor model.preset is given"),
                          "give model.preset (e.g. tiny), or layers, dim, heads and ffn_dim");
    }
  }
  ModelShape shape;
  shape.layers = config.layers();
  shape.dim = config.dim();
  shape.heads = config.heads();
  shape.kv_heads = config.has_kv_heads() ? config.kv_heads() : config.heads();
  shape.ffn_dim = config.ffn_dim();
  shape.vocab = config.has_vocab() ? config.vocab() : dataset_vocab;
  shape.tied_embeddings = config.tied_embeddings();
  shape.qk_norm = config.qk_norm();
  shape.rope_theta = config.has_rope_theta() ? config.rope_theta() : shape.rope_theta;
  shape.norm_eps = config.has_norm_eps() ? config.norm_eps() : shape.norm_eps;
  shape.init_std = config.has_init_std() ? config.init_std() : shape.init_std;
  shape.schedule = config.schedule();
  shape.serveable = config.serveable();
  shape.lora_rank = config.lora_rank();
  shape.experts = config.experts();
  if (config.routing() == v1::FuseConfig::SOUP) {
    return InvalidField("FIELD_NOT_ALLOWED", "model.routing", "model.routing: a soup is no mixture",
                        "use ffn or token, or leave it out");
  }
  if (shape.experts != 0) {
    constexpr int64_t kUsualTopK = 2;
    shape.top_k = config.has_top_k() ? config.top_k() : kUsualTopK;
    shape.routing = config.routing();
    shape.balance = config.balance();
    shape.balance_rate =
        config.has_balance_rate() ? config.balance_rate() : UsualBalanceRate(config.balance());
  }
  shape.token_chain = config.token_chain();
  shape.head_width =
      config.has_head_dim() && config.head_dim() * config.heads() == config.dim() ? 0 : config.head_dim();
  shape.attention_bias = config.attention_bias();
  shape.rope_scaling = config.rope_scaling();
  shape.positions = config.positions();
  shape.begin_token = config.has_begin_token() ? config.begin_token() : kBeginToken;
  if (config.end_tokens_size() > 0) {
    shape.end_tokens.assign(config.end_tokens().begin(), config.end_tokens().end());
  }
  RETURN_IF_ERROR(CheckVocabulary(shape, dataset_vocab));
  RETURN_IF_ERROR(CheckShape(shape));
  return shape;
}

v1::ModelConfig ToConfig(const ModelShape& shape) {
  v1::ModelConfig config;
  config.set_layers(static_cast<int32_t>(shape.layers));
  config.set_dim(static_cast<int32_t>(shape.dim));
  config.set_heads(static_cast<int32_t>(shape.heads));
  config.set_kv_heads(static_cast<int32_t>(shape.kv_heads));
  config.set_ffn_dim(static_cast<int32_t>(shape.ffn_dim));
  config.set_vocab(static_cast<int32_t>(shape.vocab));
  config.set_tied_embeddings(shape.tied_embeddings);
  config.set_qk_norm(shape.qk_norm);
  config.set_rope_theta(shape.rope_theta);
  config.set_norm_eps(shape.norm_eps);
  config.set_init_std(shape.init_std);
  if (!shape.schedule.empty()) {
    config.set_schedule(shape.schedule);
    config.set_serveable(shape.serveable);
  }
  if (shape.lora_rank != 0) {
    config.set_lora_rank(static_cast<int32_t>(shape.lora_rank));
  }
  if (shape.experts != 0) {
    config.set_experts(static_cast<int32_t>(shape.experts));
    config.set_top_k(static_cast<int32_t>(shape.top_k));
    config.set_routing(shape.routing);
    config.set_balance(shape.balance);
    config.set_balance_rate(shape.balance_rate);
  }
  if (shape.token_chain) {
    config.set_token_chain(true);
  }
  if (shape.head_width != 0) {
    config.set_head_dim(static_cast<int32_t>(shape.head_width));
  }
  config.set_attention_bias(shape.attention_bias);
  if (shape.rope_scaling.type() != v1::RopeScaling::DEFAULT) {
    *config.mutable_rope_scaling() = shape.rope_scaling;
  }
  if (shape.positions != 0) {
    config.set_positions(static_cast<int32_t>(shape.positions));
  }
  if (shape.begin_token != kBeginToken) {
    config.set_begin_token(shape.begin_token);
  }
  if (shape.end_tokens != std::vector<int32_t>{kEndToken}) {
    config.mutable_end_tokens()->Assign(shape.end_tokens.begin(), shape.end_tokens.end());
  }
  return config;
}

ModelShape ExpertShape(const ModelShape& mixture) {
  ModelShape shape = mixture;
  shape.experts = 0;
  shape.top_k = 0;
  shape.routing = v1::FuseConfig::FFN;
  return shape;
}

int64_t CountParameters(const ModelShape& shape) {
  if (shape.routes_tokens()) {
    return shape.experts * CountTrunk(ExpertShape(shape), 1) + GateParameters(shape);
  }
  return CountTrunk(shape, shape.routes_ffn() ? shape.experts : 1) + ChainParameters(shape);
}

int64_t CountActiveParameters(const ModelShape& shape) {
  // The gate of a mixture by token reads what all of its models say.
  return shape.routes_tokens() ? CountParameters(shape)
                               : CountTrunk(shape, shape.routes_ffn() ? shape.top_k : 1);
}

double FlopsPerToken(const ModelShape& shape, int64_t sequence_length) {
  if (shape.routes_tokens()) {
    return static_cast<double>(shape.experts) * FlopsPerToken(ExpertShape(shape), sequence_length) +
           6.0 * static_cast<double>(shape.experts * shape.dim);
  }
  const auto layers = static_cast<int64_t>(VisitsOf(shape).size());
  const int64_t ffns = shape.routes_ffn() ? shape.top_k : 1;
  const int64_t routers = shape.routes_ffn() ? layers * shape.experts * shape.dim : 0;
  const double in_products = static_cast<double>(layers * LayerMatrices(shape, ffns) + routers +
                                                 LoopProducts(shape) + shape.vocab * shape.dim);
  return 6.0 * in_products + 6.0 * static_cast<double>(layers * shape.query_dim() * sequence_length);
}

double MultiTokenFlopsPerToken(const ModelShape& shape, int64_t sequence_length,
                               const v1::MultiTokenConfig& multi_token) {
  const double head = 6.0 * static_cast<double>(shape.vocab * shape.dim);
  const double chain = 6.0 * static_cast<double>(ChainMatrices(shape) + shape.query_dim() * sequence_length);
  return multi_token.depth() * (head + (multi_token.form() == v1::MultiTokenConfig::CHAIN ? chain : 0.0));
}

double SgtFlopsPerToken(const ModelShape& shape, int64_t sequence_length, const v1::SgtConfig& sgt) {
  const double head = static_cast<double>(shape.vocab * shape.dim);
  const double all = FlopsPerToken(shape, sequence_length);
  const double trunk = all - 6.0 * head;
  const double others = 1.0 - sgt.budget();
  const double scoring = ScoresAllRows(sgt.selector()) ? 2.0 * head : 0.0;
  const double anchor = sgt.anchor() > 0.0 ? trunk / 3.0 + others * (2.0 + 6.0) * head : 0.0;
  return trunk + sgt.budget() * 6.0 * head + scoring + anchor;
}

}  // namespace cherry
