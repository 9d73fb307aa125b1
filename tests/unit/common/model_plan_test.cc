#include "common/model_plan.h"

#include "common/status.h"
#include "gtest/gtest.h"

namespace cherry {
namespace {

ModelShape Preset(const std::string& name, int64_t vocab = 0) {
  const auto config = PresetConfig(name);
  EXPECT_TRUE(config.ok()) << config.status();
  const auto shape = ResolveModel(*config, vocab);
  EXPECT_TRUE(shape.ok()) << shape.status();
  return *shape;
}

// The paper's three sizes determine the layer and the rest: 18.84M a layer and 114.0M.
TEST(ModelPlanTest, PaperSizesComeOut) {
  EXPECT_NEAR(static_cast<double>(CountParameters(Preset("cherry-1b"))), 1018e6, 1e6);
  EXPECT_NEAR(static_cast<double>(CountParameters(Preset("cherry-566m"))), 566e6, 1e6);
  EXPECT_NEAR(static_cast<double>(CountParameters(Preset("cherry-227m"))), 227e6, 1e6);
}

// 4 layers of (4 * 128^2 + 3 * 128 * 384 + 2 * 128), two embeddings of 2048 x 128, one norm.
TEST(ModelPlanTest, TinyIsCountedByHand) {
  const ModelShape shape = Preset("tiny", 2048);
  EXPECT_EQ(CountParameters(shape), 4 * (65536 + 147456 + 256) + 2 * 262144 + 128);
  EXPECT_DOUBLE_EQ(FlopsPerToken(shape, 256), 6.0 * (4 * 212992 + 262144) + 6.0 * 4 * 128 * 256);
}

TEST(ModelPlanTest, TiedEmbeddingCountsOnceButStillMultiplies) {
  ModelShape tied = Preset("tiny", 2048);
  const ModelShape untied = tied;
  tied.tied_embeddings = true;
  EXPECT_EQ(CountParameters(untied) - CountParameters(tied), 2048 * 128);
  EXPECT_DOUBLE_EQ(FlopsPerToken(untied, 64), FlopsPerToken(tied, 64));
}

TEST(ModelPlanTest, GroupedHeadsShrinkKeysAndValues) {
  ModelShape shape = Preset("tiny", 2048);
  const int64_t full = CountParameters(shape);
  shape.kv_heads = 1;
  EXPECT_EQ(full - CountParameters(shape), 4 * 2 * 128 * (128 - 32));
}

TEST(ModelPlanTest, MemoryAddsUpAndRecomputingNeedsLess) {
  const ModelShape shape = Preset("mini", 8192);
  v1::TrainConfig train;
  train.set_micro_batch_size(4);
  train.set_sequence_length(256);
  const v1::MemoryPlan plain = PlanMemory(shape, train, 4);
  EXPECT_EQ(plain.total(), plain.weights() + plain.gradients() + plain.optimizer() + plain.activations() +
                               plain.logits() + plain.snapshot());
  EXPECT_EQ(plain.optimizer(), 8 * CountParameters(shape));
  train.set_activation_checkpoint(v1::TrainConfig::FULL);
  EXPECT_LT(PlanMemory(shape, train, 4).activations(), plain.activations());
}

TEST(ModelPlanTest, LowRankProductsNeedLoopsAndPlainFfns) {
  v1::ModelConfig config = *PresetConfig("tiny");
  config.set_vocab(2048);
  config.set_lora_rank(4);
  EXPECT_EQ(InfoOf(ResolveModel(config, 0).status()).field(), "model.lora_rank");
  config.set_schedule("4x1");
  EXPECT_EQ(InfoOf(ResolveModel(config, 0).status()).field(), "model.lora_rank");
  config.set_schedule("1 + 3x2");
  EXPECT_TRUE(ResolveModel(config, 0).ok());
  config.set_experts(2);
  EXPECT_EQ(InfoOf(ResolveModel(config, 0).status()).field(), "model.lora_rank");
  config.set_routing(v1::FuseConfig::TOKEN);
  EXPECT_TRUE(ResolveModel(config, 0).ok());
}

TEST(ModelPlanTest, EveryPresetResolves) {
  for (const std::string& name : PresetNames()) {
    EXPECT_GT(CountParameters(Preset(name, 4096)), 0) << name;
  }
}

TEST(ModelPlanTest, PlanCountsTokensEpochsAndAccumulation) {
  v1::JobSpec spec;
  *spec.mutable_model() = ToConfig(Preset("tiny", 2048));
  spec.mutable_train()->set_steps(100);
  spec.mutable_train()->set_global_batch_size(16);
  spec.mutable_train()->set_micro_batch_size(4);
  spec.mutable_train()->set_sequence_length(256);
  const auto plan = PlanJob(spec, 2, 102400);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->tokens(), 100 * 16 * 256);
  EXPECT_EQ(plan->accumulation_steps(), 2);
  EXPECT_DOUBLE_EQ(plan->epochs(), 4.0);
  EXPECT_EQ(plan->checkpoint_bytes(), 12 * plan->parameters());
}

}  // namespace
}  // namespace cherry
