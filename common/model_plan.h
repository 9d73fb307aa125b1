// The arithmetic of a model without a device: presets, parameters, FLOPs, memory.
//
// One planner serves `--dry-run` (in the coordinator) and the trainer's table before step 0. Pure functions,
// thread-safe.
#ifndef CHERRY_COMMON_MODEL_PLAN_H_
#define CHERRY_COMMON_MODEL_PLAN_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/job.pb.h"
#include "cherry/v1/resources.pb.h"
#include "common/schedule.h"

namespace cherry {

// Begin and end a text in every tokenizer that Cherry trains.
inline constexpr int32_t kBeginToken = 1;
inline constexpr int32_t kEndToken = 2;

// A ModelConfig with every field known.
struct ModelShape {
  int64_t layers = 0;
  int64_t dim = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t ffn_dim = 0;
  int64_t vocab = 0;
  bool tied_embeddings = false;
  bool qk_norm = false;
  double rope_theta = 10000.0;
  double norm_eps = 1e-5;
  double init_std = 0.02;
  std::string schedule = {};                                    // Order of visits; empty: each layer once.
  bool serveable = false;                                       // With a schedule.
  int64_t lora_rank = 0;                                        // Of loops; 0: their visits share all.
  int64_t experts = 0;                                          // Of a mixture; 0: none.
  int64_t top_k = 0;                                            // Experts that a token uses.
  v1::FuseConfig::Routing routing = v1::FuseConfig::FFN;        // What an expert is.
  v1::FuseConfig::Balance balance = v1::FuseConfig::LOSS_FREE;  // Of training, as its rate.
  double balance_rate = 0.001;
  bool token_chain = false;  // Has a module that predicts further tokens.
  int64_t head_width = 0;    // 0: dim / heads.
  v1::ModelConfig::Bias attention_bias = v1::ModelConfig::NONE;
  v1::RopeScaling rope_scaling = {};
  // What an imported model or its dataset's tokenizer brings: see ModelConfig.
  int64_t positions = 0;  // 0: those it is trained on.
  int32_t begin_token = kBeginToken;
  std::vector<int32_t> end_tokens = {kEndToken};  // The first ends a document.

  int64_t head_dim() const { return head_width > 0 ? head_width : dim / heads; }
  int64_t query_dim() const { return heads * head_dim(); }
  // No matrix of a layer has a higher rank to add.
  int64_t most_lora_rank() const { return std::min({dim, query_dim(), kv_heads * head_dim(), ffn_dim}); }
  bool routes_ffn() const { return experts > 0 && routing == v1::FuseConfig::FFN; }
  bool routes_tokens() const { return experts > 0 && routing == v1::FuseConfig::TOKEN; }
};

// Names in the order in which ListPresets shows them.
std::vector<std::string> PresetNames();

// The preset's shape; vocab 0 where it comes from the dataset. Unknown: NOT_FOUND naming the nearest.
absl::StatusOr<v1::ModelConfig> PresetConfig(absl::string_view name);

// Preset, then overriding fields, then defaults; `dataset_vocab` (0: unknown) where the config has none.
// Errors name the field below `model.`.
absl::StatusOr<ModelShape> ResolveModel(const v1::ModelConfig& config, int64_t dataset_vocab);

// switch: the weight of its loss, 0.01. loss_free: what a step moves a bias by, 0.001.
double UsualBalanceRate(v1::FuseConfig::Balance balance);

// In the order in which they are executed; as many as there are effective layers. REQUIRES: a shape from
// ResolveModel, whose schedule is sound.
std::vector<Visit> VisitsOf(const ModelShape& shape);

// Every field of the shape as a config, for resolved specs.
v1::ModelConfig ToConfig(const ModelShape& shape);

// A tied embedding counts once.
int64_t CountParameters(const ModelShape& shape);

// Those that predict one token: without the experts that it does not use, and without the chain.
int64_t CountActiveParameters(const ModelShape& shape);

// One of the whole models that a mixture by token is made of.
ModelShape ExpertShape(const ModelShape& mixture);

// Forward and backward: 6 * (parameters in matrix products) + 6 * layers * dim * sequence_length: the
// causal half of attention's 12 L d T. An embedding look-up is no product; the head is. Of experts only those
// that a token uses; without the chain.
double FlopsPerToken(const ModelShape& shape, int64_t sequence_length);

// What training to predict further tokens adds: the chain and the head once for each depth, or the head
// alone.
double MultiTokenFlopsPerToken(const ModelShape& shape, int64_t sequence_length,
                               const v1::MultiTokenConfig& multi_token);

// What selective training executes of it: the head only for the budget's rows; all of them once more,
// forward, where the selector scores by loss; with an anchor the start model's forward and both heads on the
// other rows. Without the reference model's forward, whose shape the spec does not have.
double SgtFlopsPerToken(const ModelShape& shape, int64_t sequence_length, const v1::SgtConfig& sgt);

// `bytes_per_element` of compute: 4 for fp32, 2 for bf16 (masters and moments stay 4).
v1::MemoryPlan PlanMemory(const ModelShape& shape, const v1::TrainConfig& train, int bytes_per_element);

// The plan of a resolved spec with `ranks` ranks; `train_tokens` of its training split.
absl::StatusOr<v1::Plan> PlanJob(const v1::JobSpec& resolved, int ranks, int64_t train_tokens);

}  // namespace cherry

#endif  // CHERRY_COMMON_MODEL_PLAN_H_
