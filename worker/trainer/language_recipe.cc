#include "worker/trainer/language_recipe.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/spec.h"
#include "worker/kernels/cross_entropy.h"
#include "worker/methods/multi_token.h"

namespace cherry::trainer {

LanguageRecipe::LanguageRecipe(const v1::JobSpec& spec, const ModelShape& shape, const ModelOptions& options)
    : multi_token_(spec.multi_token()),
      steps_(spec.train().steps()),
      balance_rate_(shape.balance_rate),
      model_(MakeLanguageModel(shape, options, static_cast<uint64_t>(spec.train().seed()))),
      transformer_(dynamic_cast<Transformer*>(model_.get())),
      groups_({kValidLoss}) {
  const std::vector<std::string> parts = SplitParts(spec.data().valid());
  if (parts.size() > 1) {
    parts_ = parts.size();
    for (const std::string& part : parts) {
      groups_.push_back(absl::StrCat(kValidLoss, "/", part));
    }
  }
  for (const std::string& name : AcceptanceNames(multi_token_)) {
    groups_.push_back(name);
  }
}

void LanguageRecipe::BeginStep(int64_t step) { depth_weights_ = DepthWeights(multi_token_, step, steps_); }

TargetCounts LanguageRecipe::Count(const Batch& batch) const {
  return {std::accumulate(batch.counted.begin(), batch.counted.end(), 0.0), 0.0,
          FurtherTargets(batch, multi_token_.depth())};
}

at::Tensor LanguageRecipe::TrainingLoss(const Batch& batch, const TargetCounts& step) {
  const double supervised = Count(batch).supervised;
  at::Tensor loss;
  if (transformer_ == nullptr) {
    loss = model_->Loss(batch.tokens, batch.targets).sum;
  } else {
    const at::Tensor hidden = transformer_->Hidden(batch.tokens);
    loss = HeadCrossEntropy(hidden.flatten(0, 1), transformer_->HeadWeight(), batch.targets.flatten());
    const at::Tensor further =
        FurtherTokensLoss(multi_token_, depth_weights_, transformer_, hidden, batch.tokens, batch.targets,
                          static_cast<int64_t>(supervised), step);
    loss = further.defined() ? loss + further : loss;
  }
  const at::Tensor balance = model_->balance_loss();
  return balance.defined() ? loss + balance * (balance_rate_ * supervised) : loss;
}

void LanguageRecipe::AddValidation(const Batch& batch, absl::Span<GroupSum> sums) {
  const at::NoGradGuard no_gradient;
  const bool drafts = groups_.size() > 1 + parts_;
  const at::Tensor hidden = drafts ? transformer_->Hidden(batch.tokens) : at::Tensor();
  const GroupSum sum = {
      (drafts ? HeadCrossEntropy(hidden.flatten(0, 1), transformer_->HeadWeight(), batch.targets.flatten())
              : model_->RowLosses(batch.tokens, batch.targets).sum())
          .item<double>(),
      Count(batch).supervised};
  const auto add = [&](size_t group, const GroupSum& more) {
    sums[group].loss += more.loss;
    sums[group].targets += more.targets;
  };
  add(0, sum);
  if (parts_ > 0) {
    add(1 + batch.part, sum);
  }
  if (drafts) {
    const Acceptance acceptance = ChainAcceptance(transformer_, hidden, batch.tokens, multi_token_.depth());
    for (size_t k = 0; k < acceptance.accepted.size(); ++k) {
      add(1 + parts_ + k, {acceptance.accepted[k], acceptance.positions[k]});
    }
  }
}

std::unique_ptr<Recipe> MakePretrainRecipe(const v1::JobSpec& spec, const ModelShape& shape,
                                           at::Device device) {
  return std::make_unique<LanguageRecipe>(spec, shape, OptionsOf(spec.train(), device));
}

}  // namespace cherry::trainer
