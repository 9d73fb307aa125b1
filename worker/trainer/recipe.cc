#include "worker/trainer/recipe.h"

#include "absl/strings/str_cat.h"
#include "common/model_plan.h"
#include "common/status.h"

namespace cherry::trainer {

absl::StatusOr<std::unique_ptr<Recipe>> MakeRecipe(const v1::JobSpec& spec, at::Device device) {
  ASSIGN_OR_RETURN(const ModelShape shape, ResolveModel(spec.model(), /*dataset_vocab=*/0));
  if (spec.kind() == v1::JobSpec::PRETRAIN) {
    return MakePretrainRecipe(spec, shape, device);
  }
  return Error(absl::StatusCode::kUnimplemented, "KIND_NOT_SUPPORTED", "kind",
               absl::StrCat("kind: this trainer does not run ", v1::JobSpec::Kind_Name(spec.kind())),
               "use pretrain");
}

}  // namespace cherry::trainer
