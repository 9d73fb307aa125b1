// What a job of kind compress is filled in with, and refused for.
#include <functional>
#include <string>

#include "common/model_plan.h"
#include "common/spec.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry {
namespace {

class CompressSpecTest : public ::testing::Test {
 protected:
  CompressSpecTest() {
    data_.set_name("ko");
    data_.set_vocab(44544);
    for (const char* name : {"train", "valid"}) {
      v1::Split* split = data_.add_splits();
      split->set_name(name);
      split->set_tokens(100000);
    }
    context_.train = {&data_};
    context_.valid = {&data_};
    parent_ = ToConfig(*ResolveModel(*PresetConfig("cherry-1b"), 0));
    context_.parent_model = &parent_;
    spec_.set_kind(v1::JobSpec::COMPRESS);
    spec_.set_name("ko-6");
    spec_.mutable_from()->set_job("ko-deep");
    spec_.mutable_data()->set_train("ko/train");
    spec_.mutable_data()->set_valid("ko/valid");
    spec_.mutable_compress()->set_layers(6);
    spec_.mutable_compress()->mutable_unroll()->set_schedule("1 + 4x8 + 1");
  }

  absl::StatusOr<v1::JobSpec> Resolve() { return ResolveSpec(spec_, context_); }

  v1::Dataset data_;
  v1::ModelConfig parent_;
  SpecContext context_;
  v1::JobSpec spec_;
};

TEST_F(CompressSpecTest, MakesTheModelOfItsParents) {
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->model().layers(), 6);
  EXPECT_EQ(resolved->model().dim(), 1280);
  EXPECT_EQ(resolved->model().schedule(), "1 + 4x8 + 1");
  EXPECT_DOUBLE_EQ(resolved->compress().recover().alpha(), 0.5);
  EXPECT_DOUBLE_EQ(resolved->compress().recover().temperature(), 1.0);
  EXPECT_DOUBLE_EQ(resolved->compress().recover().hidden_weight(), 1.0);  // 48 layers become 6.
  spec_.mutable_compress()->set_layers(24);
  spec_.mutable_compress()->clear_unroll();
  EXPECT_DOUBLE_EQ(Resolve()->compress().recover().hidden_weight(), 0.0);
  EXPECT_NEAR(static_cast<double>(PlanJob(*Resolve(), 1, 0)->parameters()), 566e6, 1e6);
}

TEST_F(CompressSpecTest, ALoraStartHasARankAndTheModelKeepsIt) {
  spec_.mutable_compress()->mutable_unroll()->set_start(v1::UnrollConfig::LORA);
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->compress().unroll().lora_rank(), 8);
  EXPECT_EQ(resolved->model().lora_rank(), 8);
  const ModelShape shape = *ResolveModel(resolved->model(), 0);
  EXPECT_EQ(shape.lora_rank, 8);
  ModelShape without = shape;
  without.lora_rank = 0;
  // For each of 32 visits, 8 rows and columns for q and o [1280, 1280], k and v, gate, up and down.
  const int64_t kv = shape.kv_heads * shape.head_dim();
  EXPECT_EQ(CountParameters(shape) - CountParameters(without),
            32 * 8 * (4 * 1280 + 2 * (1280 + kv) + 3 * (1280 + shape.ffn_dim)));
}

TEST_F(CompressSpecTest, RefusesWithFieldAndRemedy) {
  const std::pair<const char*, std::function<void(v1::JobSpec*)>> cases[] = {
      {"compress.layers", [](v1::JobSpec* s) { s->mutable_compress()->set_layers(49); }},
      {"compress.layers", [](v1::JobSpec* s) { s->mutable_compress()->set_layers(0); }},
      {"compress.layers",
       [](v1::JobSpec* s) {
         s->mutable_compress()->set_layers(2);
         s->mutable_compress()->set_ends(v1::CompressConfig::KEEP);
       }},
      {"compress.unroll.schedule", [](v1::JobSpec* s) { s->mutable_compress()->set_layers(7); }},
      {"compress.unroll.growth",
       [](v1::JobSpec* s) { s->mutable_compress()->mutable_unroll()->add_growth(4); }},
      {"compress.unroll.growth",
       [](v1::JobSpec* s) {
         s->mutable_compress()->mutable_unroll()->add_growth(8);
         s->mutable_compress()->mutable_unroll()->add_growth(4);
       }},
      {"compress.unroll.lora_rank",
       [](v1::JobSpec* s) { s->mutable_compress()->mutable_unroll()->set_lora_rank(-1); }},
      {"compress.unroll.lora_rank",
       [](v1::JobSpec* s) { s->mutable_compress()->mutable_unroll()->set_lora_rank(1281); }},
      {"compress.unroll.lora_rank",
       [](v1::JobSpec* s) {
         s->mutable_compress()->mutable_unroll()->set_start(v1::UnrollConfig::LORA);
         s->mutable_compress()->mutable_unroll()->set_lora_rank(0);
       }},
      {"compress.unroll.lora_rank",
       [](v1::JobSpec* s) {
         s->mutable_compress()->mutable_unroll()->set_schedule("6");
         s->mutable_compress()->mutable_unroll()->set_lora_rank(4);
       }},
      {"compress.unroll.start",
       [](v1::JobSpec* s) {
         s->mutable_compress()->mutable_unroll()->clear_schedule();
         s->mutable_compress()->mutable_unroll()->set_start(v1::UnrollConfig::LORA);
       }},
      {"compress.recover.alpha",
       [](v1::JobSpec* s) { s->mutable_compress()->mutable_recover()->set_alpha(1.5); }},
      {"compress.recover.temperature",
       [](v1::JobSpec* s) { s->mutable_compress()->mutable_recover()->set_temperature(0.0); }},
      {"model", [](v1::JobSpec* s) { s->mutable_model()->set_preset("tiny"); }},
      {"from", [](v1::JobSpec* s) { s->clear_from(); }},
      {"sgt", [](v1::JobSpec* s) { s->mutable_sgt(); }},
      {"train.activation_checkpoint",
       [](v1::JobSpec* s) { s->mutable_train()->set_activation_checkpoint(v1::TrainConfig::FULL); }}};
  for (const auto& [field, spoil] : cases) {
    const v1::JobSpec good = spec_;
    spoil(&spec_);
    const auto refused = Resolve();
    EXPECT_FALSE(refused.ok()) << field;
    EXPECT_EQ(InfoOf(refused.status()).field(), field) << refused.status();
    EXPECT_FALSE(InfoOf(refused.status()).remedy().empty()) << field;
    spec_ = good;
  }
}

TEST_F(CompressSpecTest, AModelWithLoopsIsNotCompressedAgain) {
  parent_.set_layers(6);
  parent_.set_schedule("1 + 4x8 + 1");
  EXPECT_EQ(InfoOf(Resolve().status()).field(), "from");
}

TEST_F(CompressSpecTest, DoesNotGoOnFromAnotherCompression) {
  spec_.clear_from();
  spec_.mutable_continue_()->set_job("ko-6");
  EXPECT_EQ(InfoOf(Resolve().status()).field(), "continue");
}

TEST_F(CompressSpecTest, LoopsAreNotRecomputedInJobsOfOtherKindsEither) {
  spec_.set_kind(v1::JobSpec::SGT);
  spec_.clear_compress();
  spec_.mutable_sgt()->set_selector(v1::SgtConfig::RANDOM);
  spec_.mutable_train()->set_activation_checkpoint(v1::TrainConfig::FULL);
  EXPECT_TRUE(Resolve().ok()) << Resolve().status();
  parent_.set_layers(6);
  parent_.set_schedule("1 + 4x8 + 1");
  EXPECT_EQ(InfoOf(Resolve().status()).field(), "train.activation_checkpoint");
}

TEST_F(CompressSpecTest, AVocabularyThatIsTooSmallForTheDataIsRefused) {
  data_.set_vocab(50000);
  EXPECT_EQ(InfoOf(Resolve().status()).field(), "model.vocab");
}

}  // namespace
}  // namespace cherry
