// The objective of a language model as such: the next token's cross-entropy over all targets, that of further
// tokens where the job asks for them, and the switch loss of a mixture that is balanced by it.
#ifndef CHERRY_WORKER_TRAINER_LANGUAGE_RECIPE_H_
#define CHERRY_WORKER_TRAINER_LANGUAGE_RECIPE_H_

#include <memory>
#include <string>
#include <vector>

#include "worker/trainer/recipe.h"

namespace cherry::trainer {

class LanguageRecipe : public Recipe {
 public:
  LanguageRecipe(const v1::JobSpec& spec, const ModelShape& shape, const ModelOptions& options);

  LanguageModel& model() override { return *model_; }
  void BeginStep(int64_t step) override;
  TargetCounts Count(const Batch& batch) const override;
  bool needs_totals() const override { return multi_token_.depth() > 0; }
  at::Tensor TrainingLoss(const Batch& batch, const TargetCounts& step) override;
  std::vector<std::string> validation_groups() const override { return groups_; }
  void AddValidation(const Batch& batch, absl::Span<GroupSum> sums) override;

 private:
  const v1::MultiTokenConfig multi_token_;
  const int64_t steps_;
  const double balance_rate_;
  const std::unique_ptr<LanguageModel> model_;
  Transformer* const transformer_;  // The same where it is one; null for a mixture of whole models.
  std::vector<std::string> groups_;
  size_t parts_ = 0;  // Groups of single parts of the held-out data.
  std::vector<double> depth_weights_;
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_TRAINER_LANGUAGE_RECIPE_H_
