#include "common/spec.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/evaluation.h"
#include "common/ids.h"
#include "common/model_plan.h"
#include "common/spec_checks.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {
namespace {

constexpr int64_t kMaxSteps = 1'000'000'000;

absl::Status CheckIdentity(const v1::JobSpec& spec) {
  if (spec.kind() == v1::JobSpec::KIND_UNSPECIFIED) {
    return InvalidField("FIELD_REQUIRED", "kind", "kind: is not given",
                        "use one of pretrain, sgt, compress, fuse, evaluate");
  }
  if (spec.has_matrix()) {
    return Error(absl::StatusCode::kUnimplemented, "MATRIX_NOT_SUPPORTED", "matrix",
                 "matrix: this version does not expand it", "submit one job for each combination");
  }
  if (spec.name().empty() == spec.generate_name().empty()) {
    return InvalidField("FIELD_REQUIRED", "name", "name: give either name or generate_name",
                        "for example name: ko-base, or generate_name: ko-");
  }
  if (!spec.name().empty()) {
    RETURN_IF_ERROR(ValidateName(spec.name(), "name"));
  } else {
    RETURN_IF_ERROR(ValidateName(absl::StrCat(spec.generate_name(), "00000"), "generate_name"));
  }
  if (!spec.namespace_().empty()) {
    RETURN_IF_ERROR(ValidateName(spec.namespace_(), "namespace"));
  }
  RETURN_IF_ERROR(CheckInteger("priority", spec.priority(), -1000, 1000));
  RETURN_IF_ERROR(CheckInteger("labels (number of)", spec.labels_size(), 0, 32));
  for (const auto& [key, value] : spec.labels()) {
    if (key.empty() || key.size() > 63 || value.size() > 63) {
      return InvalidField("LABEL_INVALID", "labels",
                          absl::StrCat("labels: '", key.substr(0, 80), "' is too long or empty"),
                          "use keys of 1 to 63 and values of up to 63 characters");
    }
  }
  return absl::OkStatus();
}

// A kind's own section in a job of another kind is a mistake, not something to ignore.
absl::Status CheckSections(const v1::JobSpec& spec) {
  const bool sgt = spec.kind() == v1::JobSpec::SGT;
  const bool compress = spec.kind() == v1::JobSpec::COMPRESS;
  const bool fuse = spec.kind() == v1::JobSpec::FUSE;
  const bool evaluate = spec.kind() == v1::JobSpec::EVALUATE;
  const bool model = compress || fuse || evaluate;  // It follows from others.
  const std::pair<const char*, bool> foreign[] = {
      {"sgt", spec.has_sgt() && !sgt},
      {"compress", spec.has_compress() && !compress},
      {"experts", spec.experts_size() > 0 && !fuse},
      {"fuse", spec.has_fuse() && !fuse},
      {"multi_token", spec.has_multi_token() && (compress || evaluate)},
      {"evaluate", spec.has_evaluate() && !evaluate},
      {"from", spec.has_from() && (fuse || evaluate)},
      {"continue", spec.has_continue_() && (fuse || evaluate)}};
  for (const auto& [field, present] : foreign) {
    if (present) {
      return InvalidField(
          "FIELD_NOT_ALLOWED", field,
          absl::StrCat(field, ": a job of kind ", absl::AsciiStrToLower(v1::JobSpec::Kind_Name(spec.kind())),
                       " has no such section"),
          absl::StrCat("remove it, or change kind"));
    }
  }
  if (fuse) {
    // Before the data that follow from them.
    RETURN_IF_ERROR(CheckInteger("experts (number of)", spec.experts_size(), kFewestExperts, kMostExperts));
  }
  if (evaluate) {
    RETURN_IF_ERROR(CheckEvaluate(spec.evaluate()));
  }
  if ((sgt || compress) && !spec.has_from() && !spec.has_continue_()) {
    return InvalidField("FIELD_REQUIRED", "from", "from: this kind starts from a trained model",
                        "name the job to start from, e.g. from: {job: ko-base}");
  }
  if (compress && spec.has_continue_()) {
    return InvalidField("FIELD_NOT_ALLOWED", "continue",
                        "continue: compression does not go on: its stages are over",
                        "start from its model: kind: pretrain or sgt with from");
  }
  if (model && spec.has_model()) {
    return InvalidField("FIELD_NOT_ALLOWED", "model", "model: follows from the models that this kind reads",
                        compress ? "remove it; compress.layers gives the number of layers" : "remove it");
  }
  if (spec.has_from() && spec.has_continue_()) {
    return InvalidField("FIELD_NOT_ALLOWED", "continue", "continue: is given together with from",
                        "use from for weights only, continue to go on with everything");
  }
  return absl::OkStatus();
}

absl::Status CheckNodeSelector(const v1::Resources& resources) {
  constexpr int kMostLabels = 32;
  constexpr size_t kLongest = 63;
  if (resources.node_selector_size() > kMostLabels) {
    return InvalidField("OUT_OF_RANGE", "resources.node_selector",
                        absl::StrCat("resources.node_selector: ", resources.node_selector_size(),
                                     " labels are more than ", kMostLabels),
                        "select by fewer labels");
  }
  for (const auto& [key, value] : resources.node_selector()) {
    if (key.empty() || key.size() > kLongest || value.size() > kLongest) {
      return InvalidField("OUT_OF_RANGE", "resources.node_selector",
                          absl::StrCat("resources.node_selector: '", key.substr(0, kLongest),
                                       "' is not a label of at most ", kLongest, " characters"),
                          "give labels as workers have them: `cherry get workers -o wide`");
    }
  }
  return absl::OkStatus();
}

absl::Status ResolveResources(v1::Resources* resources) {
  v1::RankRange* ranks = resources->mutable_ranks();
  if (ranks->min() == 0 && ranks->max() == 0) {
    ranks->set_min(1);
    ranks->set_max(1);
  } else if (ranks->min() == 0) {
    ranks->set_min(1);
  } else if (ranks->max() == 0) {
    ranks->set_max(ranks->min());
  }
  RETURN_IF_ERROR(CheckInteger("resources.ranks.min", ranks->min(), 1, 4096));
  RETURN_IF_ERROR(CheckInteger("resources.ranks.max", ranks->max(), 1, 4096));
  if (ranks->max() < ranks->min()) {
    return InvalidField(
        "OUT_OF_RANGE", "resources.ranks.max",
        absl::StrCat("resources.ranks.max: ", ranks->max(), " is less than min = ", ranks->min()),
        "give max >= min");
  }
  RETURN_IF_ERROR(CheckInteger("resources.ranks_per_host", resources->ranks_per_host(), 0, 4096));
  return CheckNodeSelector(*resources);
}

absl::Status ResolveOptimizer(v1::OptimizerConfig* optimizer) {
  if (!optimizer->has_learning_rate()) optimizer->set_learning_rate(1e-3);
  if (!optimizer->has_eps()) optimizer->set_eps(1e-8);
  if (!optimizer->has_weight_decay()) optimizer->set_weight_decay(0.1);
  if (!optimizer->has_max_grad_norm()) optimizer->set_max_grad_norm(1.0);
  if (optimizer->betas_size() == 0) {
    optimizer->add_betas(0.9);
    optimizer->add_betas(0.95);
  }
  const std::string at = "train.optimizer.";
  RETURN_IF_ERROR(CheckReal(at + "learning_rate", optimizer->learning_rate(), 0.0, 10.0));
  RETURN_IF_ERROR(CheckReal(at + "weight_decay", optimizer->weight_decay(), 0.0, 10.0));
  RETURN_IF_ERROR(CheckReal(at + "max_grad_norm", optimizer->max_grad_norm(), 0.0, 1e9));
  RETURN_IF_ERROR(CheckReal(at + "eps", optimizer->eps(), 0.0, 1.0));
  if (optimizer->betas_size() != 2) {
    return InvalidField("OUT_OF_RANGE", at + "betas",
                        absl::StrCat(at, "betas: has ", optimizer->betas_size(), " values"),
                        "give two, e.g. [0.9, 0.95]");
  }
  for (int i = 0; i < 2; ++i) {
    RETURN_IF_ERROR(CheckReal(absl::StrCat(at, "betas[", i, "]"), optimizer->betas(i), 0.0, 1.0));
  }
  return absl::OkStatus();
}

absl::Status ResolveSchedule(int64_t steps, double learning_rate, v1::LrScheduler* schedule) {
  if (!schedule->has_warmup_steps()) schedule->set_warmup_steps(std::min<int64_t>(1000, steps / 10));
  if (!schedule->has_min_lr()) schedule->set_min_lr(learning_rate / 10.0);
  RETURN_IF_ERROR(CheckInteger("train.lr_scheduler.warmup_steps", schedule->warmup_steps(), 0, steps));
  if (!(schedule->min_lr() >= 0.0 && schedule->min_lr() <= learning_rate)) {
    return OutOfRange("train.lr_scheduler.min_lr", absl::StrCat(schedule->min_lr()),
                      absl::StrCat("[0, learning_rate = ", learning_rate, "]"));
  }
  return absl::OkStatus();
}

// Of the training splits as far as they are there: what is not is told later.
int64_t TrainTokens(const SpecContext& context, const v1::JobSpec& spec) {
  int64_t tokens = 0;
  const std::vector<std::string> parts = SplitParts(spec.data().train());
  for (size_t i = 0; i < parts.size() && i < context.train.size(); ++i) {
    const v1::Split* const split = FindSplit(context.train[i], parts[i]);
    tokens += split == nullptr ? 0 : split->tokens();
  }
  return tokens;
}

// Steps from `tokens` or `epochs`, which the resolved spec has no longer.
absl::Status ResolveSteps(int64_t train_tokens, v1::TrainConfig* train) {
  const int given =
      (train->has_steps() ? 1 : 0) + (train->has_tokens() ? 1 : 0) + (train->has_epochs() ? 1 : 0);
  if (given > 1) {
    const char* const field = train->has_tokens() ? "train.tokens" : "train.epochs";
    return InvalidField(
        "FIELD_NOT_ALLOWED", field,
        absl::StrCat(field, ": is given beside ", train->has_steps() ? "train.steps" : "train.epochs"),
        "give one of train.steps, train.tokens and train.epochs");
  }
  if (given == 0) {
    train->set_steps(1000);
  }
  if (train->has_steps()) {
    return absl::OkStatus();
  }
  constexpr double kMostTokens = 1e15, kMostEpochs = 1e6;
  if (train->has_tokens()) {
    RETURN_IF_ERROR(CheckInteger("train.tokens", train->tokens(), 1, static_cast<int64_t>(kMostTokens)));
  } else if (!(train->epochs() > 0.0 && train->epochs() <= kMostEpochs)) {
    return OutOfRange("train.epochs", absl::StrCat(train->epochs()), "(0, 1000000]");
  }
  const double tokens = train->has_tokens() ? static_cast<double>(train->tokens())
                                            : train->epochs() * static_cast<double>(train_tokens);
  const double step = static_cast<double>(train->global_batch_size()) * train->sequence_length();
  train->set_steps(std::max<int64_t>(1, static_cast<int64_t>(std::ceil(tokens / step - 1e-9))));
  train->clear_tokens();
  train->clear_epochs();
  return absl::OkStatus();
}

absl::Status ResolveTrain(int64_t train_tokens, v1::TrainConfig* train) {
  if (!train->has_sequence_length()) train->set_sequence_length(256);
  if (!train->has_global_batch_size()) train->set_global_batch_size(16);
  if (!train->has_micro_batch_size()) train->set_micro_batch_size(4);
  if (!train->has_seed()) train->set_seed(1);
  if (!train->has_deterministic()) train->set_deterministic(false);
  RETURN_IF_ERROR(CheckInteger("train.sequence_length", train->sequence_length(), 2, 1 << 20));
  RETURN_IF_ERROR(CheckInteger("train.global_batch_size", train->global_batch_size(), 1, 1 << 24));
  RETURN_IF_ERROR(ResolveSteps(train_tokens, train));
  RETURN_IF_ERROR(CheckInteger("train.steps", train->steps(), 1, kMaxSteps));
  RETURN_IF_ERROR(CheckInteger("train.micro_batch_size", train->micro_batch_size(), 1, 1 << 16));
  RETURN_IF_ERROR(CheckInteger("train.seed", train->seed(), 0, int64_t{1} << 53));
  RETURN_IF_ERROR(ResolveOptimizer(train->mutable_optimizer()));
  return ResolveSchedule(train->steps(), train->optimizer().learning_rate(), train->mutable_lr_scheduler());
}

absl::Status CheckBatch(const v1::JobSpec& spec) {
  if (!FeasibleRanks(spec).empty()) {
    return absl::OkStatus();
  }
  const v1::TrainConfig& train = spec.train();
  const int64_t unit = int64_t{train.micro_batch_size()} * spec.resources().ranks().min();
  const int64_t below = train.global_batch_size() / unit * unit;
  const std::string near = below > 0 ? absl::StrCat(below, " or ", below + unit) : absl::StrCat(below + unit);
  return InvalidField("BATCH_NOT_DIVISIBLE", "train.global_batch_size",
                      absl::StrCat("train.global_batch_size: ", train.global_batch_size(),
                                   " is not a multiple of micro_batch_size * ranks = ", unit),
                      absl::StrCat("use ", near, ", or change train.micro_batch_size"));
}

// The tokens that begin and end a text are the tokenizer's.
void TakeTokens(const v1::Dataset& data, v1::ModelConfig* model) {
  model->clear_begin_token();
  if (data.has_begin_token()) {
    model->set_begin_token(data.begin_token());
  }
  *model->mutable_end_tokens() = data.end_tokens();
}

// A shape given beside a parent must be the parent's.
absl::Status ResolveModelSection(const SpecContext& context, v1::JobSpec* spec) {
  const int64_t vocab = context.train.front()->vocab();
  v1::ModelConfig given = spec->model();
  if (context.parent_model != nullptr) {
    v1::ModelConfig merged = *context.parent_model;
    given.clear_like();
    if (!given.preset().empty()) {
      ASSIGN_OR_RETURN(v1::ModelConfig preset, PresetConfig(given.preset()));
      preset.MergeFrom(given);
      given = preset;
    }
    merged.MergeFrom(given);
    merged.clear_preset();
    merged.clear_token_chain();
    ASSIGN_OR_RETURN(ModelShape parent, ResolveModel(*context.parent_model, 0));
    parent.token_chain = false;  // It is not part of what a model is: see multi_token.
    ASSIGN_OR_RETURN(const ModelShape wanted, ResolveModel(merged, vocab));
    if (!spec->model().has_like() &&
        ToConfig(parent).SerializeAsString() != ToConfig(wanted).SerializeAsString()) {
      return InvalidField("MODEL_MISMATCH", "model", "model: differs from the model it starts from",
                          "leave model out, or start from random weights");
    }
    *spec->mutable_model() = ToConfig(wanted);
    return absl::OkStatus();
  }
  TakeTokens(*context.train.front(), &given);
  ASSIGN_OR_RETURN(const ModelShape shape, ResolveModel(given, vocab));
  const std::string preset = given.preset();
  *spec->mutable_model() = ToConfig(shape);
  spec->mutable_model()->set_preset(preset);
  return absl::OkStatus();
}

// Recomputing a layer takes its gradient in a backward of its own, once for each visit.
absl::Status CheckRecompute(const v1::JobSpec& spec) {
  if (spec.train().activation_checkpoint() != v1::TrainConfig::FULL) {
    return absl::OkStatus();
  }
  if (spec.model().experts() > 0) {
    return InvalidField(
        "FIELD_NOT_ALLOWED", "train.activation_checkpoint",
        "train.activation_checkpoint: full is not possible with experts: their loads would be "
        "counted while gradients are computed",
        "leave it out");
  }
  if (spec.model().schedule().empty()) {
    return absl::OkStatus();
  }
  return InvalidField(
      "FIELD_NOT_ALLOWED", "train.activation_checkpoint",
      "train.activation_checkpoint: full is not possible with loops: a layer's gradient would be "
      "taken for complete after its last visit",
      "leave it out");
}

absl::Status ResolveRest(v1::JobSpec* spec) {
  v1::ValidationConfig* validation = spec->mutable_validation();
  if (!validation->has_every_steps()) validation->set_every_steps(50);
  if (!validation->has_max_sequences()) validation->set_max_sequences(0);
  RETURN_IF_ERROR(CheckInteger("validation.every_steps", validation->every_steps(), 1, kMaxSteps));
  RETURN_IF_ERROR(CheckInteger("validation.max_sequences", validation->max_sequences(), 0, int64_t{1} << 40));
  v1::CheckpointConfig* checkpoint = spec->mutable_checkpoint();
  if (!checkpoint->has_every_steps()) checkpoint->set_every_steps(100);
  if (!checkpoint->has_keep_last()) checkpoint->set_keep_last(2);
  if (!checkpoint->has_keep_best()) checkpoint->set_keep_best(true);
  if (!checkpoint->has_keep_every()) checkpoint->set_keep_every(0);
  RETURN_IF_ERROR(CheckInteger("checkpoint.every_steps", checkpoint->every_steps(), 1, kMaxSteps));
  RETURN_IF_ERROR(CheckInteger("checkpoint.keep_last", checkpoint->keep_last(), 1, 10000));
  RETURN_IF_ERROR(CheckInteger("checkpoint.keep_every", checkpoint->keep_every(), 0, kMaxSteps));
  v1::Limits* limits = spec->mutable_limits();
  if (!limits->has_retries()) limits->set_retries(3);
  RETURN_IF_ERROR(CheckInteger("limits.retries", limits->retries(), 0, 1000));
  if (limits->has_time() && limits->time().seconds() <= 0) {
    return OutOfRange("limits.time", absl::StrCat(limits->time().seconds(), "s"), "1s and more");
  }
  return absl::OkStatus();
}

absl::Status ResolveModelOfKind(const SpecContext& context, v1::JobSpec* spec) {
  switch (spec->kind()) {
    case v1::JobSpec::COMPRESS:
      return ResolveCompress(context, spec);
    case v1::JobSpec::FUSE:
      return ResolveFuse(context, spec);
    case v1::JobSpec::EVALUATE:
      return ResolveEvaluate(context, spec);
    default:
      return ResolveModelSection(context, spec);
  }
}

}  // namespace

absl::Status CheckForm(const v1::JobSpec& spec) {
  RETURN_IF_ERROR(CheckIdentity(spec));
  return CheckSections(spec);
}

absl::StatusOr<v1::JobSpec> ResolveSpec(const v1::JobSpec& spec, const SpecContext& context) {
  RETURN_IF_ERROR(CheckForm(spec));
  v1::JobSpec resolved = spec;
  if (resolved.namespace_().empty()) {
    resolved.set_namespace_("default");
  }
  RETURN_IF_ERROR(ResolveResources(resolved.mutable_resources()));
  RETURN_IF_ERROR(ResolveTrain(TrainTokens(context, resolved), resolved.mutable_train()));
  RETURN_IF_ERROR(CheckBatch(resolved));
  RETURN_IF_ERROR(ResolveData(context, &resolved));
  RETURN_IF_ERROR(ResolveModelOfKind(context, &resolved));
  RETURN_IF_ERROR(ResolveMultiToken(context, &resolved));
  RETURN_IF_ERROR(CheckRecompute(resolved));
  if (resolved.kind() == v1::JobSpec::SGT) {
    RETURN_IF_ERROR(ResolveSgt(context, &resolved));
  }
  RETURN_IF_ERROR(ResolveRest(&resolved));
  return resolved;
}

std::vector<int> FeasibleRanks(const v1::JobSpec& resolved) {
  const v1::TrainConfig& train = resolved.train();
  std::vector<int> feasible;
  if (train.micro_batch_size() <= 0 || train.global_batch_size() % train.micro_batch_size() != 0) {
    return feasible;
  }
  const int micro_batches = train.global_batch_size() / train.micro_batch_size();
  const v1::RankRange& ranks = resolved.resources().ranks();
  for (int count = std::min(ranks.max(), micro_batches); count >= std::max(1, ranks.min()); --count) {
    if (micro_batches % count == 0) {
      feasible.push_back(count);
    }
  }
  return feasible;
}

}  // namespace cherry
