#include "worker/trainer/evaluate.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/evaluation.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/matrix_value.h"
#include "common/status.h"
#include "common/token_labels.h"
#include "worker/methods/multi_token.h"
#include "worker/trainer/validator.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kLoopDrafts = 3;

// What is summed of one model over the batches of a rank, then over the ranks.
struct Sums {
  std::vector<std::string> names;
  std::vector<double> losses, targets;
  std::vector<double> accepted, positions;
  double tokens_per_second = 0.0;

  absl::Status Reduce(Collective* collective) {
    for (std::vector<double>* list : {&losses, &targets, &accepted, &positions}) {
      RETURN_IF_ERROR(collective->AllReduceSum(absl::MakeSpan(*list)));
    }
    return collective->AllReduceSum(absl::MakeSpan(&tokens_per_second, 1));
  }
};

// "all", the parts where there are several, and what the labels tell apart: all that the rules select, the
// rest, and each category.
std::vector<std::string> GroupNames(const SplitMixture& valid) {
  std::vector<std::string> names = {"all"};
  for (size_t part = 0; valid.parts() > 1 && part < valid.parts(); ++part) {
    names.push_back(valid.part_name(part));
  }
  if (valid.has_labels()) {
    names.insert(names.end(), {"rule", "other", "fact", "reason", "correct"});
  }
  return names;
}

// The groups of a target, as indices of GroupNames.
void GroupsOf(const Batch& batch, size_t row, size_t parts, std::vector<size_t>* groups) {
  *groups = {0};
  const size_t labelled = parts > 1 ? 1 + parts : 1;
  if (parts > 1) {
    groups->push_back(1 + batch.part);
  }
  if (batch.labels.empty()) {
    return;
  }
  const Category category = CategoryOf(batch.labels[row]);
  groups->push_back(labelled + (category == Category::kNone ? 1 : 0));
  switch (category) {
    case Category::kFact:
      groups->push_back(labelled + 2);
      break;
    case Category::kReason:
      groups->push_back(labelled + 3);
      break;
    case Category::kCorrect:
      groups->push_back(labelled + 4);
      break;
    case Category::kNone:
      break;
  }
}

void AddBatch(const Batch& batch, const at::Tensor& row_losses, size_t parts, Sums* sums) {
  const at::Tensor host = row_losses.to(at::kCPU).contiguous();
  const float* const losses = host.const_data_ptr<float>();
  std::vector<size_t> groups;
  for (size_t row = 0; row < batch.counted.size(); ++row) {
    if (batch.counted[row] == 0) {
      continue;
    }
    GroupsOf(batch, row, parts, &groups);
    for (const size_t group : groups) {
      sums->losses[group] += losses[row];
      sums->targets[group] += 1.0;
    }
  }
}

// Drafts need a token after the first that they start from.
int64_t DraftDepth(const v1::JobSpec& evaluation, const v1::Job& job, const ModelShape& shape) {
  const auto& measures = evaluation.evaluate().measures();
  if (std::find(measures.begin(), measures.end(), v1::EvaluateConfig::ACCEPTANCE) == measures.end()) {
    return 0;
  }
  const int64_t depth = shape.token_chain         ? job.resolved().multi_token().depth()
                        : !shape.schedule.empty() ? kLoopDrafts
                                                  : 0;
  return std::min<int64_t>(depth, evaluation.train().sequence_length() - 1);
}

void AddAcceptance(const Batch& batch, int64_t depth, LanguageModel* model, Sums* sums) {
  auto* const transformer = dynamic_cast<Transformer*>(model);
  if (transformer == nullptr || depth == 0) {
    return;
  }
  const at::NoGradGuard no_gradient;
  const at::Tensor hidden = transformer->Hidden(batch.tokens);
  const Acceptance acceptance = model->shape().token_chain
                                    ? ChainAcceptance(transformer, hidden, batch.tokens, depth)
                                    : LoopAcceptance(transformer, hidden, batch.tokens, depth);
  for (size_t k = 0; k < acceptance.accepted.size(); ++k) {
    sums->accepted[k] += acceptance.accepted[k];
    sums->positions[k] += acceptance.positions[k];
  }
}

// This rank's share of the plan. The first batch runs twice: memory is fetched from the system in it.
absl::Status MeasureModel(const ValidationPlan& plan, const Gang& gang, const Device& device, int64_t depth,
                          int64_t step, WorkerChannel* channel, LanguageModel* model, Sums* sums) {
  double seconds = 0.0;
  double tokens = 0.0;
  bool warm = false;
  for (size_t i = static_cast<size_t>(gang.rank); i < plan.batches.size();
       i += static_cast<size_t>(gang.world_size)) {
    ASSIGN_OR_RETURN(const Batch batch,
                     ReadBatch(*plan.data, plan.batches[i], plan.batches[i], plan.counted, device.torch));
    channel->SendPhase(v1::PhaseReport::VALIDATING, step);  // It is alive, however long the text is.
    if (!std::exchange(warm, true)) {
      model->RowLosses(batch.tokens, batch.targets);
    }
    const absl::Time begin = absl::Now();
    const at::Tensor losses = model->RowLosses(batch.tokens, batch.targets).to(at::kCPU);
    seconds += absl::ToDoubleSeconds(absl::Now() - begin);
    tokens += static_cast<double>(batch.tokens.numel());
    AddBatch(batch, losses, plan.data->parts(), sums);
    AddAcceptance(batch, depth, model, sums);
  }
  sums->tokens_per_second = seconds > 0.0 ? tokens / seconds : 0.0;
  return absl::OkStatus();
}

// Who a model is, apart from what is measured of it.
void Introduce(const v1::JobInput& input, const ModelShape& shape, int64_t length,
               v1::Evaluation::Model* model) {
  const v1::Job& job = input.job();
  const v1::JobSpec& spec = job.resolved();
  model->set_job(job.name());
  model->set_checkpoint(input.checkpoint().name());
  model->set_document(job.matrix().empty() ? spec.name() : job.matrix());
  std::vector<std::pair<std::string, std::string>> values;
  for (const auto& [path, value] : job.matrix_values().fields()) {
    if (path != kSeedPath) {
      values.emplace_back(path, ValueText(value));
    }
  }
  std::sort(values.begin(), values.end());
  model->set_values(absl::StrJoin(
      values, ", ", [](std::string* out, const auto& value) { absl::StrAppend(out, value.second); }));
  model->set_seed(spec.train().seed());
  model->set_parameters(CountParameters(shape));
  model->set_active_parameters(CountActiveParameters(shape));
  model->set_flops_per_token(FlopsPerToken(shape, length));
  model->set_training_tokens(job.progress().tokens());
  if (job.progress().target_tokens() > 0) {
    model->set_supervised_share(static_cast<double>(job.progress().supervised_tokens()) /
                                static_cast<double>(job.progress().target_tokens()));
  }
}

RunFacts FactsOf(const v1::Job& job, const v1::JobSpec& evaluation) {
  const v1::JobSpec& spec = job.resolved();
  RunFacts facts;
  // Losses on other held-out text, or on other windows of it, are no losses of this text.
  if (job.progress().has_best_valid_loss() && spec.data().valid() == evaluation.data().valid() &&
      spec.data().targets() == evaluation.data().targets() &&
      spec.train().sequence_length() == evaluation.train().sequence_length() &&
      spec.validation().max_sequences() == evaluation.validation().max_sequences()) {
    facts.best_valid_loss = job.progress().best_valid_loss();
  }
  if (spec.kind() == v1::JobSpec::SGT) {
    facts.selector = spec.sgt().selector();
    facts.budget = spec.sgt().budget();
    const bool by_rules = facts.selector == v1::SgtConfig::RULE || facts.selector == v1::SgtConfig::SUPER;
    if (by_rules && spec.sgt().categories_size() > 0) {
      std::set<std::string> groups;
      for (const int category : spec.sgt().categories()) {
        groups.insert(absl::AsciiStrToLower(
            v1::SgtConfig::Category_Name(static_cast<v1::SgtConfig::Category>(category))));
      }
      facts.selected_groups = std::move(groups);
    }
  }
  return facts;
}

void FillIn(const Sums& sums, v1::Evaluation::Model* model) {
  for (size_t i = 0; i < sums.names.size(); ++i) {
    if (sums.targets[i] > 0.0) {
      v1::Evaluation::Loss* const loss = model->add_losses();
      loss->set_group(sums.names[i]);
      loss->set_loss(sums.losses[i] / sums.targets[i]);
      loss->set_targets(static_cast<int64_t>(sums.targets[i]));
    }
  }
  for (size_t k = 0; k < sums.accepted.size(); ++k) {
    model->add_acceptance(sums.accepted[k] / std::max(1.0, sums.positions[k]));
  }
  model->set_tokens_per_second(sums.tokens_per_second);
}

// Progress, and whether somebody asked for a stop: on all ranks alike.
absl::Status AfterModel(WorkerChannel* channel, Gang* gang, int64_t done, int64_t all, double seconds) {
  v1::FromTrainer message;
  v1::StepReport* const report = message.mutable_step();
  report->set_step(done);
  report->set_step_seconds(seconds);
  if (gang->rank == 0) {
    report->mutable_progress()->set_step(done);
    report->mutable_progress()->set_total_steps(all);
  }
  channel->Send(message);
  double stop = channel->stop() == StopRequest::kNone ? 0.0 : 1.0;
  RETURN_IF_ERROR(gang->control->AllReduceSum(absl::MakeSpan(&stop, 1)));
  if (stop == 0.0 || done == all) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kCancelled, "STOPPED", "",
               absl::StrCat("stopped on request after ", done, " of ", all, " models"), "start it again");
}

}  // namespace

absl::StatusOr<v1::Evaluation> Evaluate(WorkerChannel* channel, Gang* gang, const Device& device,
                                        InputModels* inputs, const SplitMixture& valid) {
  const v1::StartAttempt& attempt = channel->start().attempt();
  const v1::JobSpec& spec = attempt.spec();
  const ValidationPlan plan = PlanValidation(spec, &valid);
  v1::Evaluation evaluation;
  EvaluationFacts facts;
  int64_t done = 0;
  for (const v1::JobInput& input : attempt.inputs()) {
    const absl::Time begin = absl::Now();
    channel->SendPhase(v1::PhaseReport::LOADING, done);
    ASSIGN_OR_RETURN(const std::unique_ptr<LanguageModel> model, inputs->LoadModel(input.role()));
    const int64_t depth = DraftDepth(spec, input.job(), model->shape());
    Sums sums;
    sums.names = GroupNames(valid);
    sums.losses.resize(sums.names.size());
    sums.targets.resize(sums.names.size());
    sums.accepted.resize(static_cast<size_t>(depth));
    sums.positions.resize(static_cast<size_t>(depth));
    RETURN_IF_ERROR(MeasureModel(plan, *gang, device, depth, done, channel, model.get(), &sums));
    RETURN_IF_ERROR(sums.Reduce(gang->control.get()));
    if (sums.targets.front() == 0.0) {
      return InvalidField("NO_TARGETS", "data.valid", "data.valid: has no target that counts",
                          "raise validation.max_sequences, or hold out more text");
    }
    const bool start = absl::StartsWith(input.role(), "evaluate.start");
    const bool baseline = absl::StartsWith(input.role(), "evaluate.baseline");
    v1::Evaluation::Model* const entry = start      ? evaluation.add_starts()
                                         : baseline ? evaluation.add_baselines()
                                                    : evaluation.add_models();
    Introduce(input, model->shape(), spec.train().sequence_length(), entry);
    FillIn(sums, entry);
    if (!start) {
      (baseline ? facts.baselines : facts.models).push_back(FactsOf(input.job(), spec));
    }
    LogInfo(absl::StrFormat("%s (%s): held-out loss %.4f", entry->checkpoint(), input.role(),
                            entry->losses(0).loss()));
    RETURN_IF_ERROR(
        AfterModel(channel, gang, ++done, attempt.inputs_size(), absl::ToDoubleSeconds(absl::Now() - begin)));
  }
  return FinishEvaluation(spec.evaluate(), std::move(evaluation), facts);
}

}  // namespace cherry::trainer
