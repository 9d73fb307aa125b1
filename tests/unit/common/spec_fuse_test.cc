// What a job of kind fuse and a section multi_token are filled in with, and refused for; data of several
// parts.
#include <functional>
#include <string>
#include <tuple>

#include "common/model_plan.h"
#include "common/spec.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry {
namespace {

using ::testing::HasSubstr;

class FuseSpecTest : public ::testing::Test {
 protected:
  FuseSpecTest() {
    for (v1::Dataset* data : {&help_, &faq_}) {
      data->set_name(data == &help_ ? "help" : "faq");
      data->set_vocab(2048);
      data->set_tokenizer_hash("t");
      for (const char* name : {"train", "valid"}) {
        v1::Split* split = data->add_splits();
        split->set_name(name);
        split->set_tokens(100000);
      }
    }
    context_.train = {&help_, &faq_};
    context_.valid = {&help_, &faq_};
    v1::ModelConfig tiny = *PresetConfig("tiny");
    tiny.set_vocab(2048);
    const v1::ModelConfig model = ToConfig(*ResolveModel(tiny, 0));
    for (const auto& [train, data, uid] :
         {std::tuple{"help/train", &help_, "a"}, {"faq/train", &faq_, "b"}}) {
      InputSource& input = context_.inputs.emplace_back();
      input.model = model;
      input.train = train;
      input.data = data;
      input.lineage = {uid, "base"};
    }
    spec_.set_kind(v1::JobSpec::FUSE);
    spec_.set_name("ko-moee");
    spec_.add_experts()->set_job("a");
    spec_.add_experts()->set_job("b");
    spec_.mutable_data()->set_train("help/train + faq/train");
    spec_.mutable_data()->set_valid("help/valid + faq/valid");
  }

  absl::StatusOr<v1::JobSpec> Resolve() { return ResolveSpec(spec_, context_); }
  void ExpectRefused(const std::function<void()>& change, const std::string& field, const std::string& what) {
    const v1::JobSpec spec = spec_;
    const SpecContext context = context_;
    change();
    const absl::Status status = Resolve().status();
    EXPECT_EQ(InfoOf(status).field(), field) << status;
    EXPECT_THAT(Describe(status), HasSubstr(what));
    spec_ = spec;
    context_ = context;
  }

  v1::Dataset help_, faq_;
  SpecContext context_;
  v1::JobSpec spec_;
};

TEST_F(FuseSpecTest, MakesAMixtureOfItsExperts) {
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->model().experts(), 2);
  EXPECT_EQ(resolved->model().top_k(), 2);
  EXPECT_EQ(resolved->model().layers(), 4);
  EXPECT_DOUBLE_EQ(resolved->fuse().balance_rate(), 0.001);
  EXPECT_FALSE(resolved->model().token_chain());
  const v1::Plan plan = *PlanJob(*resolved, 1, 200000);
  EXPECT_EQ(plan.active_parameters(), plan.parameters());  // Both are used.
  spec_.mutable_fuse()->set_top_k(1);
  spec_.mutable_fuse()->set_balance(v1::FuseConfig::SWITCH);
  EXPECT_DOUBLE_EQ(Resolve()->fuse().balance_rate(), 0.01);
  const v1::Plan one = *PlanJob(*Resolve(), 1, 200000);
  EXPECT_EQ(one.parameters() - one.active_parameters(), 4 * 3 * 128 * 384);
}

TEST_F(FuseSpecTest, TheAverageOfWhatModelsPredictIsThatOfAllOfThem) {
  context_.inputs.push_back(context_.inputs[1]);
  spec_.add_experts()->set_job("c");
  spec_.mutable_fuse()->set_routing(v1::FuseConfig::TOKEN);
  EXPECT_EQ(Resolve()->model().top_k(), 2);
  spec_.mutable_fuse()->set_router_start(v1::FuseConfig::ZERO);
  EXPECT_EQ(Resolve()->model().top_k(), 3);
  ExpectRefused([&] { spec_.mutable_fuse()->set_top_k(2); }, "fuse.top_k", "2 of 3");
}

TEST_F(FuseSpecTest, ASoupIsOneModelOfTheirShape) {
  spec_.mutable_fuse()->set_routing(v1::FuseConfig::SOUP);
  const auto resolved = Resolve();
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->model().SerializeAsString(), context_.inputs[0].model.SerializeAsString());
  ExpectRefused([&] { spec_.mutable_fuse()->set_top_k(1); }, "fuse.top_k", "soup");
  ExpectRefused([&] { spec_.mutable_fuse()->set_balance(v1::FuseConfig::SWITCH); }, "fuse.balance", "soup");
  ExpectRefused([&] { spec_.mutable_fuse()->set_balance_rate(0.1); }, "fuse.balance_rate", "soup");
  ExpectRefused([&] { spec_.mutable_fuse()->set_router_start(v1::FuseConfig::CENTROID); },
                "fuse.router_start", "soup");
  ExpectRefused([&] { context_.inputs[1].lineage = {"b", "other"}; }, "experts[1]", "no ancestor in common");
  v1::ModelConfig model = *PresetConfig("tiny");
  model.set_experts(2);
  model.set_routing(v1::FuseConfig::SOUP);
  EXPECT_EQ(InfoOf(ResolveModel(model, 2048).status()).field(), "model.routing");
}

TEST_F(FuseSpecTest, PresetsOfMixturesHaveTheSizesOfTheirNames) {
  for (const auto& [name, parameters] :
       {std::pair{"cherry-1.8b", 1.82e9}, std::pair{"cherry-moee-743m", 743e6}}) {
    v1::ModelConfig config = *PresetConfig(name);
    EXPECT_NEAR(static_cast<double>(CountParameters(*ResolveModel(config, 0))), parameters,
                parameters * 0.003)
        << name;
  }
}

TEST_F(FuseSpecTest, RefusesExpertsThatDoNotGoTogether) {
  ExpectRefused([&] { spec_.mutable_experts()->RemoveLast(); }, "experts (number of)", "1 is not in");
  ExpectRefused([&] { context_.inputs[1].model.set_layers(5); }, "experts[1]", "has 5 layers");
  ExpectRefused([&] { context_.inputs[1].model.set_experts(2); }, "experts[1]", "b is a mixture itself");
  ExpectRefused([&] { context_.inputs[1].lineage = {"b", "other"}; }, "experts[1]", "no ancestor in common");
  v1::Dataset other = faq_;
  other.set_tokenizer_hash("another");
  ExpectRefused([&] { context_.inputs[1].data = &other; }, "experts[1]", "another tokenizer");
  ExpectRefused(
      [&] {
        context_.inputs[0].data = &other;
        context_.inputs[1].data = &other;
      },
      "data.train", "another tokenizer than the experts' data");
  ExpectRefused(
      [&] {
        for (InputSource& input : context_.inputs) {
          input.model.set_schedule("1 + 3x2");
          input.model.set_lora_rank(4);
        }
      },
      "experts[0]", "low-rank products");
  context_.inputs[1].lineage = {"b", "other"};
  spec_.mutable_fuse()->set_routing(v1::FuseConfig::TOKEN);
  EXPECT_TRUE(Resolve().ok()) << "whole models need no common ancestor";
}

TEST_F(FuseSpecTest, RefusesWithFieldAndRemedy) {
  ExpectRefused([&] { spec_.mutable_fuse()->set_top_k(3); }, "fuse.top_k", "3 is not in");
  ExpectRefused([&] { spec_.mutable_fuse()->set_top_k(0); }, "fuse.top_k", "0 is not in");
  ExpectRefused([&] { spec_.mutable_fuse()->set_balance_rate(-1); }, "fuse.balance_rate", "-1");
  ExpectRefused([&] { spec_.mutable_fuse()->set_router_start(v1::FuseConfig::ZERO); }, "fuse.router_start",
                "the same FFNs");
  ExpectRefused([&] { spec_.mutable_model()->set_layers(2); }, "model", "follows from");
  ExpectRefused([&] { spec_.mutable_from()->set_job("a"); }, "from", "has no such section");
  ExpectRefused([&] { spec_.mutable_train()->set_activation_checkpoint(v1::TrainConfig::FULL); },
                "train.activation_checkpoint", "not possible with experts");
  ExpectRefused(
      [&] {
        spec_.mutable_fuse()->set_router_start(v1::FuseConfig::CENTROID);
        spec_.mutable_data()->set_train("help/train");
        context_.train = {&help_};
      },
      "fuse.router_start", "faq/train");
  ExpectRefused(
      [&] {
        spec_.mutable_fuse()->set_routing(v1::FuseConfig::TOKEN);
        spec_.mutable_multi_token()->set_depth(1);
      },
      "multi_token", "a mixture by token");
}

TEST_F(FuseSpecTest, FurtherTokensHaveDefaultsAndBounds) {
  spec_.mutable_multi_token()->set_depth(2);
  EXPECT_DOUBLE_EQ(Resolve()->multi_token().weight(), 0.3);
  EXPECT_TRUE(Resolve()->model().token_chain());
  spec_.mutable_multi_token()->set_form(v1::MultiTokenConfig::SHARED_HEAD);
  EXPECT_DOUBLE_EQ(Resolve()->multi_token().weight(), 0.5);
  EXPECT_FALSE(Resolve()->model().token_chain());
  ExpectRefused([&] { spec_.mutable_multi_token()->set_depth(9); }, "multi_token.depth", "9 is not in");
  ExpectRefused(
      [&] {
        spec_.mutable_multi_token()->set_depth(4);
        spec_.mutable_train()->set_sequence_length(4);
      },
      "multi_token.depth", "less than train.sequence_length");
}

TEST_F(FuseSpecTest, PartsOfDataAreCheckedEach) {
  ExpectRefused([&] { spec_.mutable_data()->set_train("help/train + help/train"); }, "data.train",
                "named twice");
  ExpectRefused([&] { context_.train[1] = nullptr; }, "data.train", "no dataset 'faq' is registered");
  ExpectRefused([&] { spec_.mutable_data()->set_train("help/train + faq"); }, "data.train",
                "'faq' is not DATASET/SPLIT");
  ExpectRefused([&] { spec_.mutable_data()->set_train("help/train +"); }, "data.train",
                "'' is not DATASET/SPLIT");
  v1::Dataset other = faq_;
  other.set_tokenizer_hash("another");
  ExpectRefused([&] { context_.train[1] = &other; }, "data.train", "another tokenizer than 'help/train'");
}

}  // namespace
}  // namespace cherry
