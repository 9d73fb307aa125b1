#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <numeric>

#include "worker/trainer/recipe.h"

namespace cherry::trainer {
namespace {

class PretrainRecipe final : public Recipe {
 public:
  PretrainRecipe(const v1::JobSpec& spec, const ModelShape& shape, at::Device device)
      : model_(shape, ModelOptions(spec.train(), device), static_cast<uint64_t>(spec.train().seed())) {}

  Transformer& model() override { return model_; }
  TargetCounts Count(const Batch& batch) const override {
    return {std::accumulate(batch.counted.begin(), batch.counted.end(), 0.0), 0.0};
  }
  at::Tensor TrainingLoss(const Batch& batch, const TargetCounts&) override {
    return model_.Loss(batch.tokens, batch.targets).sum;
  }
  void AddValidation(const Batch& batch, absl::Span<GroupSum> sums) override {
    const at::NoGradGuard no_gradient;
    sums[0].loss += model_.Loss(batch.tokens, batch.targets).sum.item<double>();
    sums[0].targets += Count(batch).supervised;
  }

 private:
  Transformer model_;
};

}  // namespace

std::unique_ptr<Recipe> MakePretrainRecipe(const v1::JobSpec& spec, const ModelShape& shape,
                                           at::Device device) {
  return std::make_unique<PretrainRecipe>(spec, shape, device);
}

}  // namespace cherry::trainer
