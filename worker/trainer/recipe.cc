#include "worker/trainer/recipe.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/model_plan.h"
#include "common/status.h"

namespace cherry::trainer {

absl::StatusOr<std::unique_ptr<Recipe>> MakeRecipe(const v1::JobSpec& spec, at::Device device) {
  ASSIGN_OR_RETURN(const ModelShape shape, ResolveModel(spec.model(), /*dataset_vocab=*/0));
  switch (spec.kind()) {
    case v1::JobSpec::PRETRAIN:
      return MakePretrainRecipe(spec, shape, device);
    case v1::JobSpec::SGT:
      return MakeSgtRecipe(spec, shape, device);
    case v1::JobSpec::COMPRESS:
      return MakeCompressRecipe(spec, shape, device);
    case v1::JobSpec::FUSE:
      return MakeFuseRecipe(spec, shape, device);
    default:
      return Error(absl::StatusCode::kUnimplemented, "KIND_NOT_SUPPORTED", "kind",
                   absl::StrCat("kind: this trainer does not run ", v1::JobSpec::Kind_Name(spec.kind())),
                   "use pretrain, sgt, compress or fuse");
  }
}

absl::StatusOr<std::unique_ptr<Transformer>> InputModels::Load(absl::string_view role) {
  ASSIGN_OR_RETURN(std::unique_ptr<LanguageModel> model, LoadModel(role));
  auto* const transformer = dynamic_cast<Transformer*>(model.get());
  if (transformer == nullptr) {
    return InvalidField("MODEL_MISMATCH", role, absl::StrCat(role, ": is a mixture of whole models"),
                        "name a single model");
  }
  static_cast<void>(model.release());
  return absl::WrapUnique(transformer);
}

ModelOptions OptionsOf(const v1::TrainConfig& train, at::Device device) {
  ModelOptions options;
  options.device = device;
  const bool bf16 =
      train.dtype() == v1::TrainConfig::BF16 || (train.dtype() == v1::TrainConfig::AUTO && device.is_cuda());
  options.compute = bf16 ? at::kBFloat16 : at::kFloat;
  options.recompute_layers = train.activation_checkpoint() == v1::TrainConfig::FULL;
  return options;
}

}  // namespace cherry::trainer
