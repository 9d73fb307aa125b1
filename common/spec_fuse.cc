#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/model_plan.h"
#include "common/spec_checks.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {
namespace {

using v1::FuseConfig;
using v1::MultiTokenConfig;

constexpr int kMostDepth = 8;

std::string ExpertField(size_t i) { return absl::StrCat("experts[", i, "]"); }

// Without what does not have to be alike.
std::string ShapeText(const v1::ModelConfig& model) {
  v1::ModelConfig config = model;
  config.clear_preset();
  config.clear_like();
  config.clear_token_chain();
  config.clear_init_std();
  return config.SerializeAsString();
}

std::string RoutingName(const FuseConfig& fuse) {
  return absl::AsciiStrToLower(FuseConfig::Routing_Name(fuse.routing()));
}

std::string Describe(const v1::ModelConfig& model) {
  return absl::StrCat(model.layers(), " layers of ", model.dim(), ", ", model.heads(), " heads, FFN ",
                      model.ffn_dim(), ", vocabulary ", model.vocab(),
                      model.schedule().empty() ? "" : absl::StrCat(", loops ", model.schedule()));
}

absl::Status CheckAlike(const std::vector<InputSource>& experts, const v1::JobSpec& spec) {
  for (size_t i = 0; i < experts.size(); ++i) {
    if (experts[i].model.experts() != 0) {
      return InvalidField(
          "MODEL_MISMATCH", ExpertField(i),
          absl::StrCat(ExpertField(i), ": ", spec.experts(static_cast<int>(i)).job(), " is a mixture itself"),
          "fuse the models that it was made of");
    }
    if (ShapeText(experts[i].model) != ShapeText(experts[0].model)) {
      return InvalidField("MODEL_MISMATCH", ExpertField(i),
                          absl::StrCat(ExpertField(i), ": has ", Describe(experts[i].model),
                                       ", experts[0] has ", Describe(experts[0].model)),
                          "fuse models of one shape");
    }
    if (experts[i].data != nullptr && experts[0].data != nullptr &&
        experts[i].data->tokenizer_hash() != experts[0].data->tokenizer_hash()) {
      return InvalidField(
          "TOKENIZER_MISMATCH", ExpertField(i),
          absl::StrCat(ExpertField(i), ": was trained with another tokenizer than experts[0]"),
          absl::StrCat("prepare its data with `--tokenizer ", experts[0].data->name(), "`"));
    }
  }
  return absl::OkStatus();
}

// Averaging what experts share means something where they have departed from the same weights.
absl::Status CheckAverages(const std::vector<InputSource>& experts, absl::string_view routing) {
  if (experts[0].model.lora_rank() != 0) {
    return InvalidField(
        "MODEL_MISMATCH", ExpertField(0),
        absl::StrCat(ExpertField(0), ": its loops have low-rank products (lora_rank ",
                     experts[0].model.lora_rank(), "), and routing: ", routing, " averages none"),
        "use routing: token, or fuse models that were compressed without lora_rank");
  }
  std::set<std::string> common = experts[0].lineage;
  for (size_t i = 1; i < experts.size(); ++i) {
    std::set<std::string> both;
    std::set_intersection(common.begin(), common.end(), experts[i].lineage.begin(), experts[i].lineage.end(),
                          std::inserter(both, both.begin()));
    if (both.empty()) {
      return InvalidField(
          "EXPERTS_UNRELATED", ExpertField(i),
          absl::StrCat(ExpertField(i), ": has no ancestor in common with those before it, and routing: ",
                       routing, " averages their attention"),
          "train them from one job (from:), or use routing: token");
    }
    common = std::move(both);
  }
  return absl::OkStatus();
}

absl::Status CheckCentroid(const std::vector<InputSource>& experts, const v1::JobSpec& spec) {
  const std::vector<std::string> parts = SplitParts(spec.data().train());
  for (size_t i = 0; i < experts.size(); ++i) {
    const std::string trained_on = SplitParts(experts[i].train).front();
    if (std::find(parts.begin(), parts.end(), trained_on) == parts.end()) {
      return InvalidField("DATA_MISSING", "fuse.router_start",
                          absl::StrCat("fuse.router_start: centroid reads ", trained_on,
                                       ", the data of experts[", i, "], and data.train does not have it"),
                          "leave data out, add that part, or use router_start: normal");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSoup(const FuseConfig& fuse) {
  for (const auto& [field, given] : {std::pair<const char*, bool>{"top_k", fuse.has_top_k()},
                                     {"balance", fuse.balance() != FuseConfig::LOSS_FREE},
                                     {"balance_rate", fuse.has_balance_rate()},
                                     {"router_start", fuse.router_start() != FuseConfig::NORMAL}}) {
    if (given) {
      return InvalidField(
          "FIELD_NOT_ALLOWED", absl::StrCat("fuse.", field),
          absl::StrCat("fuse.", field, ": routing: soup makes one model of all, without a router"),
          "leave it out, or use routing: ffn or token");
    }
  }
  return absl::OkStatus();
}

absl::Status ResolveRouters(const std::vector<InputSource>& experts, v1::JobSpec* spec) {
  FuseConfig* const fuse = spec->mutable_fuse();
  const auto count = static_cast<int32_t>(experts.size());
  const bool zero = fuse->router_start() == FuseConfig::ZERO;
  if (!fuse->has_top_k()) fuse->set_top_k(zero ? count : std::min(2, count));
  if (!fuse->has_balance_rate()) fuse->set_balance_rate(UsualBalanceRate(fuse->balance()));
  RETURN_IF_ERROR(CheckInteger("fuse.top_k", fuse->top_k(), 1, count));
  RETURN_IF_ERROR(CheckReal("fuse.balance_rate", fuse->balance_rate(), 0.0, 10.0));
  if (zero && fuse->routing() != FuseConfig::TOKEN) {
    return InvalidField("FIELD_NOT_ALLOWED", "fuse.router_start",
                        "fuse.router_start: zero would send every token to the same FFNs",
                        "use normal or centroid, or routing: token");
  }
  if (zero && fuse->top_k() != count) {
    return InvalidField(
        "OUT_OF_RANGE", "fuse.top_k",
        absl::StrCat("fuse.top_k: ", fuse->top_k(), " of ", count,
                     ": with router_start: zero all models are equally good, and it is the average "
                     "of all that is meant"),
        absl::StrCat("leave it out, or give ", count));
  }
  return fuse->router_start() == FuseConfig::CENTROID ? CheckCentroid(experts, *spec) : absl::OkStatus();
}

}  // namespace

absl::Status ResolveFuse(const SpecContext& context, v1::JobSpec* spec) {
  const std::vector<InputSource>& experts = context.inputs;
  RETURN_IF_ERROR(CheckAlike(experts, *spec));
  if (experts[0].data != nullptr &&
      experts[0].data->tokenizer_hash() != context.train.front()->tokenizer_hash()) {
    return InvalidField(
        "TOKENIZER_MISMATCH", "data.train",
        absl::StrCat("data.train: '", spec->data().train(),
                     "' has another tokenizer than the experts' data, '", experts[0].data->name(), "'"),
        absl::StrCat("prepare it with `--tokenizer ", experts[0].data->name(), "`"));
  }
  FuseConfig* const fuse = spec->mutable_fuse();
  if (fuse->routing() != FuseConfig::TOKEN) {
    RETURN_IF_ERROR(CheckAverages(experts, RoutingName(*fuse)));
  }
  v1::ModelConfig model = experts[0].model;
  model.clear_preset();
  model.clear_token_chain();
  if (fuse->routing() == FuseConfig::SOUP) {
    RETURN_IF_ERROR(CheckSoup(*fuse));
  } else {
    RETURN_IF_ERROR(ResolveRouters(experts, spec));
    model.set_experts(static_cast<int32_t>(experts.size()));
    model.set_top_k(fuse->top_k());
    model.set_routing(fuse->routing());
    model.set_balance(fuse->balance());
    model.set_balance_rate(fuse->balance_rate());
  }
  ASSIGN_OR_RETURN(const ModelShape shape, ResolveModel(model, context.train.front()->vocab()));
  *spec->mutable_model() = ToConfig(shape);
  return absl::OkStatus();
}

absl::Status ResolveMultiToken(const SpecContext& context, v1::JobSpec* spec) {
  MultiTokenConfig* const config = spec->mutable_multi_token();
  const bool chain = config->form() == MultiTokenConfig::CHAIN;
  if (!config->has_weight()) config->set_weight(chain ? 0.3 : 0.5);
  RETURN_IF_ERROR(CheckInteger("multi_token.depth", config->depth(), 0, kMostDepth));
  RETURN_IF_ERROR(CheckReal("multi_token.weight", config->weight(), 0.0, 10.0));
  if (config->depth() >= spec->train().sequence_length()) {
    return OutOfRange(
        "multi_token.depth", absl::StrCat(config->depth()),
        absl::StrCat("0..", spec->train().sequence_length() - 1, ", less than train.sequence_length"));
  }
  if (config->depth() > 0 && spec->model().experts() > 0 && spec->model().routing() == FuseConfig::TOKEN) {
    return InvalidField("FIELD_NOT_ALLOWED", "multi_token",
                        "multi_token: a mixture by token has no states of its own to predict from",
                        "leave it out, or use routing: ffn");
  }
  const bool has_chain = chain && config->depth() > 0;
  if (spec->has_continue_() && context.parent_model != nullptr &&
      context.parent_model->token_chain() != has_chain) {
    return InvalidField("MODEL_MISMATCH", "multi_token",
                        absl::StrCat("multi_token: the run that this one goes on with ",
                                     has_chain ? "had no chain" : "had a chain"),
                        has_chain ? "leave it out, or use from instead of continue"
                                  : "give the same section, or use from instead of continue");
  }
  if (has_chain) {
    spec->mutable_model()->set_token_chain(true);
  } else {
    spec->mutable_model()->clear_token_chain();
  }
  if (config->depth() == 0) {
    spec->clear_multi_token();
  }
  return absl::OkStatus();
}

}  // namespace cherry
