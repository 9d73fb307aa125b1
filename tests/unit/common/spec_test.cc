#include "common/spec.h"

#include <functional>
#include <limits>

#include "common/model_plan.h"
#include "common/nearest.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Dataset Korean() {
  v1::Dataset dataset;
  dataset.set_name("ko");
  dataset.set_vocab(2048);
  dataset.set_tokenizer_hash("t");
  for (const char* name : {"train", "valid"}) {
    v1::Split* split = dataset.add_splits();
    split->set_name(name);
    split->set_tokens(100000);
  }
  return dataset;
}

v1::JobSpec Minimal() {
  v1::JobSpec spec;
  spec.set_kind(v1::JobSpec::PRETRAIN);
  spec.set_name("ko-base");
  spec.mutable_model()->set_preset("tiny");
  spec.mutable_data()->set_train("ko/train");
  spec.mutable_data()->set_valid("ko/valid");
  return spec;
}

absl::StatusOr<v1::JobSpec> Resolve(const v1::JobSpec& spec) {
  static const v1::Dataset dataset = Korean();
  SpecContext context;
  context.train = {&dataset};
  context.valid = {&dataset};
  return ResolveSpec(spec, context);
}

TEST(ResolveSpecTest, MinimalJobGetsEveryDefault) {
  const auto resolved = Resolve(Minimal());
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->namespace_(), "default");
  EXPECT_EQ(resolved->resources().ranks().min(), 1);
  EXPECT_EQ(resolved->train().steps(), 1000);
  EXPECT_EQ(resolved->train().lr_scheduler().warmup_steps(), 100);
  EXPECT_DOUBLE_EQ(resolved->train().lr_scheduler().min_lr(), 1e-4);
  EXPECT_THAT(resolved->train().optimizer().betas(), ElementsAre(0.9, 0.95));
  EXPECT_EQ(resolved->model().vocab(), 2048);
  EXPECT_EQ(resolved->model().kv_heads(), 4);
  EXPECT_EQ(resolved->checkpoint().keep_last(), 2);
  EXPECT_EQ(resolved->limits().retries(), 3);
}

TEST(ResolveSpecTest, ResolvingTwiceChangesNothing) {
  const auto once = Resolve(Minimal());
  ASSERT_TRUE(once.ok());
  const auto twice = Resolve(*once);
  ASSERT_TRUE(twice.ok()) << twice.status();
  EXPECT_EQ(once->SerializeAsString(), twice->SerializeAsString());
}

TEST(ResolveSpecTest, TokensAndEpochsBecomeSteps) {
  v1::JobSpec spec = Minimal();
  spec.mutable_train()->set_tokens(16 * 256 * 10 + 1);
  auto resolved = Resolve(spec);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->train().steps(), 11);
  EXPECT_FALSE(resolved->train().has_tokens());
  spec.mutable_train()->clear_tokens();
  spec.mutable_train()->set_epochs(2.048);  // Of 100,000 tokens.
  resolved = Resolve(spec);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->train().steps(), 50);
  EXPECT_FALSE(resolved->train().has_epochs());
  EXPECT_EQ(resolved->train().lr_scheduler().warmup_steps(), 5);
}

TEST(DataPartsTest, SharesAreReducedAndNamesAreFree) {
  EXPECT_THAT(SplitParts("0.7 ko/train + 0.3 en/train"), ElementsAre("ko/train", "en/train"));
  EXPECT_THAT(*PartShares("0.7 ko/train + 0.3 en/train", "f"), ElementsAre(7, 3));
  EXPECT_THAT(*PartShares("ko/train + en/train", "f"), ElementsAre(1, 1));
  EXPECT_THAT(*PartShares("3 ko/train + en/train", "f"), ElementsAre(3, 1));
  EXPECT_THAT(*PartShares("1000000 ko/train + 1 en/train", "f"), ElementsAre(9999, 1));
  EXPECT_THAT(*PartShares("0.333333 a/t + 0.333333 b/t + 0.333334 c/t", "f"), ElementsAre(3333, 3333, 3334));
  EXPECT_FALSE(HasShares("ko/train + en/train"));
  EXPECT_TRUE(HasShares("ko/train + 1 en/train"));
  for (const char* bad : {"0 ko/train", "-1 ko/train", "0.0000001 ko/train", "1e7 ko/train", "1,5 a/t"}) {
    EXPECT_EQ(InfoOf(PartShares(bad, "data.train").status()).reason(), "OUT_OF_RANGE") << bad;
  }
}

struct BadCase {
  const char* name;
  const char* field;
  const char* reason;
  std::function<void(v1::JobSpec*)> spoil;
};

class BadSpecTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadSpecTest, IsRefusedWithFieldAndRemedy) {
  v1::JobSpec spec = Minimal();
  GetParam().spoil(&spec);
  const auto resolved = Resolve(spec);
  ASSERT_FALSE(resolved.ok());
  const v1::ErrorInfo info = InfoOf(resolved.status());
  EXPECT_EQ(info.field(), GetParam().field) << resolved.status();
  EXPECT_EQ(info.reason(), GetParam().reason) << resolved.status();
  EXPECT_FALSE(info.remedy().empty());
  EXPECT_THAT(std::string(resolved.status().message()), HasSubstr(GetParam().field));
}

INSTANTIATE_TEST_SUITE_P(All, BadSpecTest,
                         ::testing::Values(
                             BadCase{"NoKind", "kind", "FIELD_REQUIRED",
                                     [](v1::JobSpec* s) { s->clear_kind(); }},
                             BadCase{"NoExperts", "experts (number of)", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) {
                                       s->set_kind(v1::JobSpec::FUSE);
                                       s->clear_model();
                                     }},
                             BadCase{"TokensBesideSteps", "train.tokens", "FIELD_NOT_ALLOWED",
                                     [](v1::JobSpec* s) {
                                       s->mutable_train()->set_steps(3);
                                       s->mutable_train()->set_tokens(3);
                                     }},
                             BadCase{"EpochsBesideTokens", "train.tokens", "FIELD_NOT_ALLOWED",
                                     [](v1::JobSpec* s) {
                                       s->mutable_train()->set_epochs(3);
                                       s->mutable_train()->set_tokens(3);
                                     }},
                             BadCase{"NoTokens", "train.tokens", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) { s->mutable_train()->set_tokens(0); }},
                             BadCase{"EndlessEpochs", "train.epochs", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) {
                                       s->mutable_train()->set_epochs(
                                           std::numeric_limits<double>::infinity());
                                     }},
                             BadCase{"NoShare", "data.train", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) { s->mutable_data()->set_train("0 ko/train"); }},
                             BadCase{"SharesOfValidation", "data.valid", "FIELD_NOT_ALLOWED",
                                     [](v1::JobSpec* s) { s->mutable_data()->set_valid("0.5 ko/valid"); }},
                             BadCase{"OddHead", "model.heads", "NOT_DIVISIBLE",
                                     [](v1::JobSpec* s) { s->mutable_model()->set_head_dim(33); }},
                             BadCase{"ShrinkingRope", "model.rope_scaling.factor", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) {
                                       s->mutable_model()->mutable_rope_scaling()->set_type(
                                           v1::RopeScaling::LINEAR);
                                       s->mutable_model()->mutable_rope_scaling()->set_factor(0.5);
                                     }},
                             BadCase{"BiasAndNorm", "model.attention_bias", "FIELD_NOT_ALLOWED",
                                     [](v1::JobSpec* s) {
                                       s->mutable_model()->set_qk_norm(true);
                                       s->mutable_model()->set_attention_bias(v1::ModelConfig::QKV);
                                     }},
                             BadCase{"NoName", "name", "FIELD_REQUIRED",
                                     [](v1::JobSpec* s) { s->clear_name(); }},
                             BadCase{"BadName", "name", "NAME_INVALID",
                                     [](v1::JobSpec* s) { s->set_name("Ko_Base"); }},
                             BadCase{"NameEscapes", "name", "NAME_INVALID",
                                     [](v1::JobSpec* s) { s->set_name("../x"); }},
                             BadCase{"BadNamespace", "namespace", "NAME_INVALID",
                                     [](v1::JobSpec* s) { s->set_namespace_("a/b"); }},
                             BadCase{"Priority", "priority", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) { s->set_priority(1001); }},
                             BadCase{
                                 "ForeignSection",
                                 "sgt", "FIELD_NOT_ALLOWED", [](v1::JobSpec* s) { s->mutable_sgt(); }},
                             BadCase{"RanksTurned", "resources.ranks.max", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) {
                                       s->mutable_resources()->mutable_ranks()->set_min(4);
                                       s->mutable_resources()->mutable_ranks()->set_max(2);
                                     }},
                             BadCase{"NoSteps", "train.steps", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) { s->mutable_train()->set_steps(0); }},
                             BadCase{"NegativeRate", "train.optimizer.learning_rate", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) {
                                       s->mutable_train()->mutable_optimizer()->set_learning_rate(-1);
                                     }},
                             BadCase{"NanRate", "train.optimizer.learning_rate", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) {
                                       s->mutable_train()->mutable_optimizer()->set_learning_rate(
                                           std::numeric_limits<double>::quiet_NaN());
                                     }},
                             BadCase{"OneBeta", "train.optimizer.betas", "OUT_OF_RANGE",
                                     [](v1::JobSpec*
                                            s) { s->mutable_train()->mutable_optimizer()->add_betas(0.9); }},
                             BadCase{"WarmupTooLong", "train.lr_scheduler.warmup_steps", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) {
                                       s->mutable_train()->mutable_lr_scheduler()->set_warmup_steps(1001);
                                     }},
                             BadCase{"Batch", "train.global_batch_size", "BATCH_NOT_DIVISIBLE",
                                     [](v1::JobSpec* s) {
                                       s->mutable_train()->set_global_batch_size(10);
                                       s->mutable_resources()->mutable_ranks()->set_min(2);
                                     }},
                             BadCase{"NoData", "data.train", "FIELD_REQUIRED",
                                     [](v1::JobSpec* s) { s->mutable_data()->clear_train(); }},
                             BadCase{"NoValid", "data.valid", "FIELD_REQUIRED",
                                     [](v1::JobSpec* s) { s->mutable_data()->clear_valid(); }},
                             BadCase{"NoSplit", "data.train", "SPLIT_UNKNOWN",
                                     [](v1::JobSpec* s) { s->mutable_data()->set_train("ko/test"); }},
                             BadCase{
                                 "DataEscapes", "data.train", "DATASET_INVALID",
                                 [](v1::JobSpec* s) { s->mutable_data()->set_train("../../etc/passwd"); }},
                             BadCase{"DataTooShort", "data.train", "DATASET_TOO_SMALL",
                                     [](v1::JobSpec* s) { s->mutable_train()->set_sequence_length(200000); }},
                             BadCase{"NoModel", "model.layers", "FIELD_REQUIRED",
                                     [](v1::JobSpec* s) { s->clear_model(); }},
                             BadCase{"Preset", "model.preset", "PRESET_UNKNOWN",
                                     [](v1::JobSpec* s) { s->mutable_model()->set_preset("tinny"); }},
                             BadCase{"Heads", "model.heads", "NOT_DIVISIBLE",
                                     [](v1::JobSpec* s) { s->mutable_model()->set_heads(3); }},
                             BadCase{"VocabularyTooSmall", "model.vocab", "VOCABULARY_MISMATCH",
                                     [](v1::JobSpec* s) { s->mutable_model()->set_vocab(1024); }},
                             BadCase{"NoCheckpointKept", "checkpoint.keep_last", "OUT_OF_RANGE",
                                     [](v1::JobSpec* s) { s->mutable_checkpoint()->set_keep_last(0); }},
                             BadCase{"NoTime", "limits.time", "OUT_OF_RANGE",
                                     [](v1::JobSpec*
                                            s) { s->mutable_limits()->mutable_time()->set_seconds(0); }}),
                         [](const ::testing::TestParamInfo<BadCase>& info) { return info.param.name; });

TEST(ResolveSpecTest, UnknownDatasetIsNotFound) {
  const auto resolved = ResolveSpec(Minimal(), SpecContext());
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(InfoOf(resolved.status()).reason(), "DATASET_UNKNOWN");
}

TEST(ResolveSpecTest, BatchErrorNamesTheMultiplesNearby) {
  v1::JobSpec spec = Minimal();
  spec.mutable_train()->set_global_batch_size(10);
  spec.mutable_resources()->mutable_ranks()->set_min(2);
  const auto resolved = Resolve(spec);
  EXPECT_EQ(Describe(resolved.status()),
            "train.global_batch_size: 10 is not a multiple of micro_batch_size * ranks = 8: use 8 or 16, or "
            "change train.micro_batch_size");
}

TEST(ResolveSpecTest, LargerVocabularyIsPadding) {
  v1::JobSpec spec = Minimal();
  spec.mutable_model()->set_vocab(4096);
  const auto resolved = Resolve(spec);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->model().vocab(), 4096);
}

TEST(ResolveSpecTest, ShapeThatDiffersFromTheParentIsRefused) {
  const v1::Dataset dataset = Korean();
  v1::ModelConfig parent = *PresetConfig("tiny");
  parent.set_vocab(2048);
  SpecContext context;
  context.train = {&dataset};
  context.valid = {&dataset};
  context.parent_model = &parent;
  v1::JobSpec spec = Minimal();
  EXPECT_TRUE(ResolveSpec(spec, context).ok());
  spec.clear_model();
  EXPECT_EQ(ResolveSpec(spec, context)->model().layers(), 4);
  spec.mutable_model()->set_layers(5);
  EXPECT_EQ(InfoOf(ResolveSpec(spec, context).status()).reason(), "MODEL_MISMATCH");
}

TEST(FeasibleRanksTest, AreTheDivisorsInRangeLargestFirst) {
  v1::JobSpec spec;
  spec.mutable_train()->set_global_batch_size(24);
  spec.mutable_train()->set_micro_batch_size(2);
  spec.mutable_resources()->mutable_ranks()->set_min(2);
  spec.mutable_resources()->mutable_ranks()->set_max(8);
  EXPECT_THAT(FeasibleRanks(spec), ElementsAre(6, 4, 3, 2));
}

TEST(NearestTest, FindsTyposAndOtherToolsNames) {
  const std::vector<std::string> names = {"learning_rate", "betas", "eps", "weight_decay", "max_grad_norm"};
  EXPECT_EQ(Nearest("lerning_rate", names), "learning_rate");
  EXPECT_EQ(Nearest("lr", names), "learning_rate");
  EXPECT_EQ(Nearest("grad_clip", names), "max_grad_norm");
  EXPECT_EQ(Nearest("zzzzzzzz", names), "");
}

}  // namespace
}  // namespace cherry
