// What a job of kind sgt is filled in with, and refused for.
#include <cmath>
#include <functional>
#include <string>

#include "common/model_plan.h"
#include "common/spec.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SgtSpecTest : public ::testing::Test {
 protected:
  SgtSpecTest() {
    data_.set_name("ko");
    data_.set_vocab(2048);
    data_.set_tokenizer_hash("t");
    for (const char* name : {"train", "valid"}) {
      v1::Split* split = data_.add_splits();
      split->set_name(name);
      split->set_tokens(100000);
      split->set_labels_hash("l");
      split->set_fact_tokens(9000);
      split->set_reason_tokens(500);
    }
    context_.train = {&data_};
    context_.valid = {&data_};
    parent_ = ToConfig(*ResolveModel(*PresetConfig("tiny"), 2048));
    context_.parent_model = &parent_;
    spec_.set_kind(v1::JobSpec::SGT);
    spec_.set_name("ko-sgt");
    spec_.mutable_from()->set_job("ko-base");
    spec_.mutable_data()->set_train("ko/train");
    spec_.mutable_data()->set_valid("ko/valid");
  }

  absl::StatusOr<v1::JobSpec> Resolve() { return ResolveSpec(spec_, context_); }
  // The ErrorInfo of a refusal.
  v1::ErrorInfo Refusal() {
    const auto resolved = Resolve();
    EXPECT_FALSE(resolved.ok());
    EXPECT_FALSE(InfoOf(resolved.status()).remedy().empty());
    return InfoOf(resolved.status());
  }

  v1::Dataset data_;
  v1::ModelConfig parent_;
  SpecContext context_;
  v1::JobSpec spec_;
};

TEST_F(SgtSpecTest, GetsEveryDefaultAndTheParentsModel) {
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->sgt().selector(), v1::SgtConfig::RULE);
  EXPECT_DOUBLE_EQ(resolved->sgt().budget(), 0.15);
  EXPECT_DOUBLE_EQ(resolved->sgt().anchor(), 1.0);
  EXPECT_DOUBLE_EQ(resolved->sgt().random_share(), 0.0);
  EXPECT_EQ(resolved->sgt().coupling_every(), 10);
  EXPECT_THAT(resolved->sgt().categories(),
              ElementsAre(v1::SgtConfig::FACT, v1::SgtConfig::REASON, v1::SgtConfig::CORRECT));
  EXPECT_EQ(resolved->model().layers(), 4);
}

TEST_F(SgtSpecTest, AllTakesTheWholeBudgetAndNoAnchor) {
  spec_.mutable_sgt()->set_selector(v1::SgtConfig::ALL);
  spec_.mutable_sgt()->set_budget(0.15);
  spec_.mutable_sgt()->set_anchor(1.0);
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_DOUBLE_EQ(resolved->sgt().budget(), 1.0);
  EXPECT_DOUBLE_EQ(resolved->sgt().anchor(), 0.0);
}

TEST_F(SgtSpecTest, BudgetsOutsideTheirRangeAreRefused) {
  for (const double budget : {0.0, -0.1, 1.01, std::nan("")}) {
    spec_.mutable_sgt()->set_budget(budget);
    const v1::ErrorInfo refusal = Refusal();
    EXPECT_EQ(refusal.field(), "sgt.budget") << budget;
    EXPECT_THAT(refusal.remedy(), HasSubstr("(0, 1]"));
  }
}

TEST_F(SgtSpecTest, OtherValuesOutsideTheirRangesAreRefused) {
  const std::pair<const char*, std::function<void(v1::SgtConfig*)>> cases[] = {
      {"sgt.random_share", [](v1::SgtConfig* sgt) { sgt->set_random_share(1.5); }},
      {"sgt.anchor", [](v1::SgtConfig* sgt) { sgt->set_anchor(-1.0); }},
      {"sgt.coupling_every", [](v1::SgtConfig* sgt) { sgt->set_coupling_every(-1); }},
      {"sgt.categories",
       [](v1::SgtConfig* sgt) { sgt->add_categories(v1::SgtConfig::CATEGORY_UNSPECIFIED); }}};
  for (const auto& [field, spoil] : cases) {
    spec_.clear_sgt();
    spoil(spec_.mutable_sgt());
    EXPECT_EQ(Refusal().field(), field);
  }
}

TEST_F(SgtSpecTest, NeedsAModelToStartFrom) {
  spec_.clear_from();
  EXPECT_EQ(Refusal().field(), "from");
}

TEST_F(SgtSpecTest, ExcessAndSuperNeedAReferenceOfTheSameVocabularyAndTokenizer) {
  for (const auto selector : {v1::SgtConfig::EXCESS, v1::SgtConfig::SUPER}) {
    spec_.mutable_sgt()->set_selector(selector);
    context_.reference_model = nullptr;
    EXPECT_EQ(Refusal().field(), "sgt.reference");
    v1::ModelConfig other = parent_;
    other.set_vocab(4096);
    context_.reference_model = &other;
    EXPECT_EQ(Refusal().reason(), "VOCABULARY_MISMATCH");
    context_.reference_model = &parent_;
    v1::Dataset elsewhere = data_;
    elsewhere.set_tokenizer_hash("another");
    context_.reference_data = &elsewhere;
    EXPECT_EQ(Refusal().reason(), "TOKENIZER_MISMATCH");
    context_.reference_data = &data_;
    EXPECT_TRUE(Resolve().ok()) << Resolve().status();
  }
}

TEST_F(SgtSpecTest, RulesNeedLabelsOfTheirCategories) {
  spec_.mutable_sgt()->add_categories(v1::SgtConfig::CORRECT);
  EXPECT_EQ(Refusal().reason(), "NO_LABELS");
  spec_.mutable_sgt()->set_selector(v1::SgtConfig::RANDOM);
  EXPECT_TRUE(Resolve().ok()) << Resolve().status();
}

TEST_F(SgtSpecTest, RulesNeedLabelsOfTheHeldOutTextToo) {
  data_.mutable_splits(1)->clear_labels_hash();
  EXPECT_EQ(Refusal().field(), "data.valid");
}

TEST_F(SgtSpecTest, ResponsesNeedAnAssistant) {
  spec_.mutable_data()->set_targets(v1::DataConfig::RESPONSES);
  EXPECT_EQ(Refusal().reason(), "NO_RESPONSES");
  for (v1::Split& split : *data_.mutable_splits()) {
    split.set_response_tokens(10);
  }
  EXPECT_TRUE(Resolve().ok()) << Resolve().status();
}

TEST_F(SgtSpecTest, DataOfAnotherTokenizerThanTheParentsIsRefused) {
  v1::Dataset elsewhere = data_;
  elsewhere.set_tokenizer_hash("another");
  context_.parent_data = &elsewhere;
  const v1::ErrorInfo refusal = Refusal();
  EXPECT_EQ(refusal.field(), "data.train");
  EXPECT_THAT(refusal.remedy(), HasSubstr("--tokenizer ko"));
}

TEST_F(SgtSpecTest, APretrainJobHasNoSuchSection) {
  spec_.set_kind(v1::JobSpec::PRETRAIN);
  spec_.mutable_sgt()->set_budget(0.1);
  EXPECT_EQ(Refusal().field(), "sgt");
}

TEST_F(SgtSpecTest, ThePlanCountsWhatIsExecuted) {
  spec_.mutable_sgt()->set_selector(v1::SgtConfig::RANDOM);
  spec_.mutable_sgt()->set_anchor(0.0);
  const ModelShape shape = *ResolveModel(parent_, 0);
  const double full = FlopsPerToken(shape, 256);
  const double head = 6.0 * 2048 * 128;
  const auto plan = [&] { return *PlanJob(*Resolve(), 1, 100000); };
  EXPECT_DOUBLE_EQ(plan().flops_per_token(), full - 0.85 * head);
  spec_.mutable_sgt()->set_selector(v1::SgtConfig::ENTROPY);
  EXPECT_DOUBLE_EQ(plan().flops_per_token(), full - 0.85 * head + head / 3.0);
  EXPECT_THAT(plan().notes(), Contains(HasSubstr("the logits of every row")));
  const int64_t without = plan().memory_per_rank().total();
  spec_.mutable_sgt()->set_anchor(1.0);
  EXPECT_EQ(plan().memory_per_rank().total(), without + 4 * CountParameters(shape));
}

}  // namespace
}  // namespace cherry
