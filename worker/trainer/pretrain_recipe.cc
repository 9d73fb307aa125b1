#include <c10/core/GradMode.h>

#include "worker/trainer/recipe.h"

namespace cherry::trainer {
namespace {

Transformer::Options ModelOptions(const v1::TrainConfig& train, at::Device device) {
  Transformer::Options options;
  options.device = device;
  const bool bf16 =
      train.dtype() == v1::TrainConfig::BF16 || (train.dtype() == v1::TrainConfig::AUTO && device.is_cuda());
  options.compute = bf16 ? at::kBFloat16 : at::kFloat;
  options.recompute_layers = train.activation_checkpoint() == v1::TrainConfig::FULL;
  return options;
}

class PretrainRecipe final : public Recipe {
 public:
  PretrainRecipe(const v1::JobSpec& spec, const ModelShape& shape, at::Device device)
      : model_(shape, ModelOptions(spec.train(), device), static_cast<uint64_t>(spec.train().seed())) {}

  Transformer& model() override { return model_; }
  LossSum TrainingLoss(const Batch& batch) override { return model_.Loss(batch.tokens, batch.targets); }
  LossSum ValidationLoss(const Batch& batch) override {
    const at::NoGradGuard no_gradient;
    return model_.Loss(batch.tokens, batch.targets);
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
