// Fusion: trained models become the experts of one, which is then trained as such.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/parameter_names.h"
#include "common/status.h"
#include "worker/methods/fuse/fuse.h"
#include "worker/trainer/language_recipe.h"

namespace cherry::trainer {
namespace {

constexpr int64_t kCentreBatches = 16;
// The experts' weights sum to 1 but for rounding, which is that of the type that is computed in.
double Rounding(at::ScalarType compute) { return compute == at::kFloat ? 1e-5 : 3e-2; }

class FuseRecipe final : public LanguageRecipe {
 public:
  FuseRecipe(const v1::JobSpec& spec, const ModelShape& shape, at::Device device)
      : LanguageRecipe(spec, shape, OptionsOf(spec.train(), device)),
        fuse_(spec.fuse()),
        count_(spec.experts_size()) {}

  bool measures_from_origin() const override { return true; }
  absl::Status Prepare(InputModels* inputs) override;

 private:
  void FuseInto(absl::Span<Transformer* const> experts);
  absl::Status CheckIdentical(Transformer* expert, const Batch& batch);
  absl::Status Centre(absl::Span<Transformer* const> experts, InputModels* inputs);

  const v1::FuseConfig fuse_;
  const int count_;  // Of the models that are fused.
};

void FuseRecipe::FuseInto(absl::Span<Transformer* const> experts) {
  if (model().shape().routes_tokens()) {
    FuseModels(experts, static_cast<TokenMixture*>(&model()));
  } else {
    FuseFfns(experts, static_cast<Transformer*>(&model()));
  }
}

absl::Status FuseRecipe::Prepare(InputModels* inputs) {
  std::vector<std::unique_ptr<Transformer>> loaded;
  std::vector<Transformer*> experts;
  for (int i = 0; i < count_; ++i) {
    ASSIGN_OR_RETURN(std::unique_ptr<Transformer> expert, inputs->Load(absl::StrCat("experts[", i, "]")));
    experts.push_back(expert.get());
    loaded.push_back(std::move(expert));
  }
  ASSIGN_OR_RETURN(const Batch batch, inputs->Calibration(0));
  RETURN_IF_ERROR(CheckIdentical(experts.front(), batch));
  FuseInto(experts);
  if (fuse_.router_start() == v1::FuseConfig::ZERO) {
    const at::NoGradGuard no_gradient;
    model().parameters().Value(kGateName).zero_();
  }
  return fuse_.router_start() == v1::FuseConfig::CENTROID ? Centre(experts, inputs) : absl::OkStatus();
}

// A fusion of one model with itself must say what that model says: else what is trained from here on would
// not be what its lineage says.
absl::Status FuseRecipe::CheckIdentical(Transformer* expert, const Batch& batch) {
  const at::NoGradGuard no_gradient;
  const std::vector<Transformer*> alike(static_cast<size_t>(count_), expert);
  FuseInto(alike);
  KvCache cache;
  const at::Tensor text = batch.tokens.narrow(0, 0, 1);
  const at::Tensor ours = model().Decode(text, text.size(1), &cache).log_softmax(-1);
  const at::Tensor expected = expert->Logits(expert->Hidden(text)).flatten(0, 1).log_softmax(-1);
  const double difference = ((ours - expected).norm() / expected.norm()).item<double>();
  if (difference <= Rounding(expert->options().compute)) {
    return absl::OkStatus();
  }
  return Error(
      absl::StatusCode::kInternal, "LINEAGE_BROKEN", "experts",
      absl::StrCat("experts: a fusion of ", alike.size(), " copies of the first one differs from it by ",
                   difference, " in relative norm before the first step"),
      "train with train.dtype: fp32, or report this with the job's spec");
}

absl::Status FuseRecipe::Centre(absl::Span<Transformer* const> experts, InputModels* inputs) {
  std::vector<std::vector<at::Tensor>> tokens(experts.size());
  for (size_t i = 0; i < experts.size(); ++i) {
    ASSIGN_OR_RETURN(const size_t part, inputs->PartOf(absl::StrCat("experts[", i, "]")));
    for (int64_t batch_number = 0; batch_number < kCentreBatches; ++batch_number) {
      inputs->Alive();
      ASSIGN_OR_RETURN(const Batch batch, inputs->Calibration(batch_number, part));
      tokens[i].push_back(batch.tokens);
    }
  }
  if (model().shape().routes_tokens()) {
    CentreGate(tokens, static_cast<TokenMixture*>(&model()));
  } else {
    CentreRouters(experts, tokens, static_cast<Transformer*>(&model()));
  }
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<Recipe> MakeFuseRecipe(const v1::JobSpec& spec, const ModelShape& shape, at::Device device) {
  return std::make_unique<FuseRecipe>(spec, shape, device);
}

}  // namespace cherry::trainer
