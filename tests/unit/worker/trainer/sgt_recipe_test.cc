// A step of selective training never waits for the device: sizes are known before it, values are read after
// it.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "common/token_labels.h"
#include "worker/trainer/recipe.h"

namespace cherry::trainer {
namespace {

const ModelShape kShape = {.layers = 1, .dim = 16, .heads = 2, .kv_heads = 2, .ffn_dim = 24, .vocab = 40};

class FreshModels final : public InputModels {
 public:
  absl::Status LoadInto(absl::string_view, LanguageModel*) override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(absl::string_view) override {
    return std::make_unique<Transformer>(kShape, ModelOptions{}, 2);
  }
  absl::StatusOr<size_t> PartOf(absl::string_view) override { return 0; }
  absl::StatusOr<Batch> Calibration(int64_t, size_t) override { return absl::UnimplementedError("no data"); }
};

Batch MakeBatch() {
  constexpr int64_t kSequences = 2, kLength = 20;
  Batch batch;
  batch.tokens =
      at::arange(kSequences * kLength, at::kLong).remainder(kShape.vocab).view({kSequences, kLength});
  batch.targets = (batch.tokens + 1).remainder(kShape.vocab);
  batch.counted.assign(kSequences * kLength, 1);
  for (int64_t i = 0; i < kSequences * kLength; ++i) {
    batch.labels.push_back(static_cast<uint8_t>(i % 4 == 0 ? 1 | kSpanStart : 0));
  }
  batch.samples = {0, 1};
  return batch;
}

std::set<std::string>* operators = nullptr;

std::unique_ptr<at::ObserverContext> Record(const at::RecordFunction& function) {
  operators->insert(function.name());
  return nullptr;
}

class SgtStepTest : public ::testing::TestWithParam<v1::SgtConfig::Selector> {};

TEST_P(SgtStepTest, AsksTheDeviceForNoValueAndNoSize) {
  v1::JobSpec spec;
  v1::SgtConfig* const sgt = spec.mutable_sgt();
  sgt->set_selector(GetParam());
  sgt->set_budget(0.2);
  sgt->set_anchor(0.5);
  sgt->set_random_share(0.25);
  sgt->add_categories(v1::SgtConfig::FACT);
  const std::unique_ptr<Recipe> recipe = MakeSgtRecipe(spec, kShape, at::kCPU);
  FreshModels models;
  ASSERT_TRUE(recipe->Prepare(&models).ok());
  const Batch batch = MakeBatch();
  const TargetCounts counts = recipe->Count(batch);
  std::set<std::string> seen;
  operators = &seen;
  const at::CallbackHandle handle = at::addGlobalCallback(at::RecordFunctionCallback(&Record));
  recipe->TrainingLoss(batch, counts).backward();
  at::removeCallback(handle);
  EXPECT_GT(seen.count("aten::index_select"), 0u);
  EXPECT_EQ(seen.count("aten::_local_scalar_dense"), 0u);
  EXPECT_EQ(seen.count("aten::item"), 0u);
  EXPECT_EQ(seen.count("aten::nonzero"), 0u);
}

INSTANTIATE_TEST_SUITE_P(Selectors, SgtStepTest,
                         ::testing::Values(v1::SgtConfig::RANDOM, v1::SgtConfig::ENTROPY,
                                           v1::SgtConfig::TOP_LOSS, v1::SgtConfig::LOW_LOSS,
                                           v1::SgtConfig::EXCESS, v1::SgtConfig::RULE, v1::SgtConfig::SUPER));

}  // namespace
}  // namespace cherry::trainer
