// Selective training: cross-entropy on the selected targets, and on the others the distance to the start
// model.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/spec_kinds.h"
#include "common/status.h"
#include "common/token_labels.h"
#include "worker/kernels/cross_entropy.h"
#include "worker/kernels/head_kl.h"
#include "worker/kernels/row_losses.h"
#include "worker/methods/multi_token.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {
namespace {

// What validation sums over. "selected" is what the job's selector takes at the start weights, "rule" what
// the rules take at the same budget; both are fixed before the first step.
enum Group { kAll, kSelected, kUnselected, kRule, kOther, kFact, kReason, kCorrect, kGroups };

std::vector<uint8_t> ToHost(const at::Tensor& mask) {
  const at::Tensor host = mask.to(at::kCPU).to(at::kByte).contiguous();
  const uint8_t* data = host.const_data_ptr<uint8_t>();
  return {data, data + host.numel()};
}

v1::SgtConfig RuleOf(v1::SgtConfig sgt) {
  sgt.set_selector(v1::SgtConfig::RULE);
  sgt.set_random_share(0.0);
  sgt.clear_categories();
  for (const auto category : {v1::SgtConfig::FACT, v1::SgtConfig::REASON, v1::SgtConfig::CORRECT}) {
    sgt.add_categories(category);
  }
  return sgt;
}

class SgtRecipe final : public Recipe {
 public:
  SgtRecipe(const v1::JobSpec& spec, const ModelShape& shape, at::Device device)
      : sgt_(spec.sgt()),
        model_(shape, OptionsOf(spec.train(), device), static_cast<uint64_t>(spec.train().seed())),
        selector_(sgt_, static_cast<uint64_t>(spec.train().seed())),
        rule_(RuleOf(sgt_), 0),
        multi_token_(spec.multi_token()),
        steps_(spec.train().steps()),
        probe_(&model_) {
    for (const std::string& name : AcceptanceNames(multi_token_)) {
      groups_.push_back(name);
    }
  }

  Transformer& model() override { return model_; }

  bool measures_from_origin() const override { return true; }
  absl::Status Prepare(InputModels* inputs) override;
  void SetBaseline(const std::vector<GroupSum>& baseline) override { baseline_ = baseline; }

  void BeginStep(int64_t step) override { depth_weights_ = DepthWeights(multi_token_, step, steps_); }
  TargetCounts Count(const Batch& batch) const override { return selector_.Count(batch); }
  bool needs_totals() const override { return sgt_.anchor() > 0.0; }
  at::Tensor TrainingLoss(const Batch& batch, const TargetCounts& step) override;

  std::vector<std::string> validation_groups() const override { return groups_; }
  void AddValidation(const Batch& batch, absl::Span<GroupSum> sums) override;
  std::vector<Measure> Compare(const std::vector<GroupSum>& now, std::string* warning) override;

  bool Probes(int64_t step) const override {
    return sgt_.coupling_every() > 0 && sgt_.selector() != v1::SgtConfig::ALL &&
           step % sgt_.coupling_every() == 0;
  }
  absl::Status BeforeUpdate(const StepView& view) override;
  absl::Status AfterUpdate(const StepView& view, std::vector<Measure>* measures) override;

 private:
  at::Tensor Mask(const Batch& batch, const at::Tensor& hidden);
  at::Tensor Scores(const Batch& batch, const at::Tensor& hidden);
  at::Tensor Anchor(const Batch& batch, const at::Tensor& hidden, const at::Tensor& mask);
  Split SplitOf(const Batch& batch);

  const v1::SgtConfig sgt_;
  Transformer model_;
  std::unique_ptr<Transformer> origin_;     // With an anchor.
  std::unique_ptr<Transformer> reference_;  // Where the selector needs one.
  Selector selector_;
  Selector rule_;
  std::map<int64_t, std::vector<uint8_t>> valid_masks_;  // By the first window of a batch of validation.
  const v1::MultiTokenConfig multi_token_;
  const int64_t steps_;
  std::vector<double> depth_weights_;
  std::vector<std::string> groups_ = {kValidLoss,          "loss/valid/selected", "loss/valid/unselected",
                                      "loss/valid/rule",   "loss/valid/other",    "loss/valid/fact",
                                      "loss/valid/reason", "loss/valid/correct"};
  std::vector<GroupSum> baseline_;
  bool warned_ = false;
  CouplingProbe probe_;
  std::optional<Split> probed_;
};

absl::Status SgtRecipe::Prepare(InputModels* inputs) {
  RETURN_IF_ERROR(inputs->LoadInto("origin", &model_));
  if (sgt_.anchor() > 0.0) {
    ASSIGN_OR_RETURN(origin_, inputs->Load("origin"));
  }
  if (NeedsReference(sgt_.selector())) {
    ASSIGN_OR_RETURN(reference_, inputs->Load("sgt.reference"));
  }
  return absl::OkStatus();
}

at::Tensor SgtRecipe::Scores(const Batch& batch, const at::Tensor& hidden) {
  const at::NoGradGuard no_gradient;
  if (!selector_.scores_rows()) {
    return at::Tensor();
  }
  const at::Tensor states = hidden.detach();
  if (sgt_.selector() == v1::SgtConfig::ENTROPY) {
    return HeadRowEntropies(states, model_.HeadWeight());
  }
  const at::Tensor targets = batch.targets.flatten();
  at::Tensor losses = HeadRowLosses(states, model_.HeadWeight(), targets);
  switch (sgt_.selector()) {
    case v1::SgtConfig::TOP_LOSS:
      return losses;
    case v1::SgtConfig::LOW_LOSS:
      return losses.neg();
    default:
      return losses -
             HeadRowLosses(reference_->Hidden(batch.tokens).flatten(0, 1), reference_->HeadWeight(), targets);
  }
}

at::Tensor SgtRecipe::Mask(const Batch& batch, const at::Tensor& hidden) {
  return selector_.Select(batch, Scores(batch, hidden));
}

// The sum of KL(start || model) over the targets that are not selected: their number is known beforehand.
at::Tensor SgtRecipe::Anchor(const Batch& batch, const at::Tensor& hidden, const at::Tensor& mask) {
  const at::Tensor others = mask.logical_not().logical_and(batch.targets.flatten().ne(kIgnoredTarget));
  const Rows rows =
      GatherRows(others, batch.targets.flatten(), static_cast<int64_t>(selector_.Count(batch).others));
  at::Tensor start;
  {
    const at::NoGradGuard no_gradient;
    start = origin_->Hidden(batch.tokens).flatten(0, 1).index_select(0, rows.index);
  }
  return HeadKl(hidden.index_select(0, rows.index), model_.HeadWeight(), start, origin_->HeadWeight());
}

at::Tensor SgtRecipe::TrainingLoss(const Batch& batch, const TargetCounts& step) {
  const at::Tensor states = model_.Hidden(batch.tokens);
  const at::Tensor hidden = states.flatten(0, 1);
  const at::Tensor mask = Mask(batch, hidden);
  const Rows rows = selector_.Gather(batch, mask);
  at::Tensor loss = HeadCrossEntropy(hidden.index_select(0, rows.index), model_.HeadWeight(), rows.targets);
  if (!depth_weights_.empty()) {
    const at::Tensor supervised = at::where(mask.view_as(batch.targets), batch.targets,
                                            at::full({}, kIgnoredTarget, batch.targets.options()));
    const at::Tensor further =
        FurtherTokensLoss(multi_token_, depth_weights_, &model_, states, batch.tokens, supervised,
                          static_cast<int64_t>(selector_.Count(batch).supervised), {});
    loss = further.defined() ? loss + further : loss;
  }
  if (sgt_.anchor() == 0.0 || step.others == 0.0) {
    return loss;
  }
  // The loop divides by the supervised targets; the anchor is a mean over the others.
  return loss + Anchor(batch, hidden, mask) * (sgt_.anchor() * step.supervised / step.others);
}

void SgtRecipe::AddValidation(const Batch& batch, absl::Span<GroupSum> sums) {
  const at::NoGradGuard no_gradient;
  const at::Tensor states = model_.Hidden(batch.tokens);
  const at::Tensor hidden = states.flatten(0, 1);
  const Acceptance acceptance = groups_.size() > kGroups
                                    ? ChainAcceptance(&model_, states, batch.tokens, multi_token_.depth())
                                    : Acceptance();
  for (size_t k = 0; k < acceptance.accepted.size(); ++k) {
    sums[kGroups + k].loss += acceptance.accepted[k];
    sums[kGroups + k].targets += acceptance.positions[k];
  }
  const at::Tensor losses =
      HeadRowLosses(hidden, model_.HeadWeight(), batch.targets.flatten()).to(at::kCPU).contiguous();
  std::vector<uint8_t>& selected = valid_masks_[batch.samples.front()];
  if (baseline_.empty()) {
    selected = ToHost(Mask(batch, hidden));
  }
  const bool labelled = !batch.labels.empty();
  const std::vector<uint8_t> rule =
      labelled ? ToHost(rule_.Select(batch, at::Tensor())) : std::vector<uint8_t>(batch.counted.size(), 0);
  const float* loss = losses.const_data_ptr<float>();
  for (size_t i = 0; i < batch.counted.size(); ++i) {
    if (batch.counted[i] == 0) {
      continue;
    }
    const auto add = [&](Group group) {
      sums[group].loss += loss[i];
      sums[group].targets += 1.0;
    };
    add(kAll);
    add(selected[i] != 0 ? kSelected : kUnselected);
    if (labelled) {
      add(rule[i] != 0 ? kRule : kOther);
      switch (CategoryOf(batch.labels[i])) {
        case Category::kFact:
          add(kFact);
          break;
        case Category::kReason:
          add(kReason);
          break;
        case Category::kCorrect:
          add(kCorrect);
          break;
        case Category::kNone:
          break;
      }
    }
  }
}

std::vector<Measure> SgtRecipe::Compare(const std::vector<GroupSum>& now, std::string* warning) {
  const auto gain = [&](Group group) { return baseline_[group].mean() - now[group].mean(); };
  std::vector<Measure> measures;
  if (now[kUnselected].targets == 0.0 || now[kSelected].targets == 0.0) {
    return measures;
  }
  const double share = now[kSelected].targets / now[kAll].targets;
  if (gain(kSelected) != 0.0) {
    measures.push_back({"wave", gain(kAll) / (share * gain(kSelected))});
    measures.push_back({"omega", gain(kUnselected) / gain(kSelected)});
  }
  if (gain(kUnselected) < 0.0 && !warned_) {
    warned_ = true;
    *warning = absl::StrFormat(
        "the held-out loss of unselected tokens has risen from %.4f to %.4f: selected tokens improve at "
        "their "
        "expense; raise sgt.anchor or sgt.random_share, or lower the learning rate",
        baseline_[kUnselected].mean(), now[kUnselected].mean());
  }
  return measures;
}

Split SgtRecipe::SplitOf(const Batch& batch) {
  const at::NoGradGuard no_gradient;
  const at::Tensor hidden =
      selector_.scores_rows() ? model_.Hidden(batch.tokens).flatten(0, 1) : at::Tensor();
  const at::Tensor mask = Mask(batch, hidden);
  return {mask, mask.logical_not().logical_and(batch.targets.flatten().ne(kIgnoredTarget))};
}

absl::Status SgtRecipe::BeforeUpdate(const StepView& view) {
  probed_ = SplitOf(view.batches.front());
  return probe_.Before(view.batches.front(), *probed_, selector_.SelectRandom(view.batches.front()),
                       *view.independent, SplitOf(*view.independent), view.collectives);
}

absl::Status SgtRecipe::AfterUpdate(const StepView& view, std::vector<Measure>* measures) {
  ASSIGN_OR_RETURN(const Coupling coupling, probe_.After(view.batches.front(), *probed_, view.collectives));
  probed_.reset();
  for (const auto& [name, value] : {std::pair<const char*, double>{"cosine", coupling.cosine},
                                    {"projection", coupling.projection},
                                    {"random_cosine", coupling.random_cosine},
                                    {"cross_cosine", coupling.cross_cosine},
                                    {"predicted", coupling.predicted},
                                    {"measured", coupling.measured}}) {
    // A part without targets has no gradient, and no angle.
    if (std::isfinite(value)) {
      measures->push_back({absl::StrCat("coupling/", name), value});
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<Recipe> MakeSgtRecipe(const v1::JobSpec& spec, const ModelShape& shape, at::Device device) {
  return std::make_unique<SgtRecipe>(spec, shape, device);
}

}  // namespace cherry::trainer
