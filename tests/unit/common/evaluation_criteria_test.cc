// Criteria: what they say of measured models, and what is refused before anything is measured.
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/evaluation.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using v1::Criterion;
using v1::EvaluateConfig;
using Verdict = v1::Evaluation::Verdict;

v1::Evaluation::Model ModelOf(const std::string& job, const std::string& document, const std::string& values,
                              int seed, double recovery) {
  v1::Evaluation::Model model;
  model.set_job(absl::StrCat("namespaces/default/jobs/", job));
  model.set_document(document);
  model.set_values(values);
  model.set_seed(seed);
  model.set_recovery(recovery);
  v1::Evaluation::Loss* const loss = model.add_losses();
  loss->set_group("all");
  loss->set_loss(4.0 - recovery);
  return model;
}

class JudgeTest : public ::testing::Test {
 protected:
  JudgeTest() {
    *evaluation_.add_models() = ModelOf("ko-rule-1", "ko", "rule", 1, 0.5);
    *evaluation_.add_models() = ModelOf("ko-rule-2", "ko", "rule", 2, 0.75);
    *evaluation_.add_models() = ModelOf("ko-random-1", "ko", "random", 1, 0.25);
    *evaluation_.add_models() = ModelOf("ko-random-2", "ko", "random", 2, 1.0);
    *evaluation_.add_baselines() = ModelOf("full", "full", "", 1, 1.0);
  }

  static Criterion Of(const std::string& model, EvaluateConfig::Measure measure = EvaluateConfig::RECOVERY) {
    Criterion criterion;
    criterion.set_claim("a claim");
    criterion.set_measure(measure);
    criterion.set_model(model);
    return criterion;
  }
  Verdict Test(const Criterion& criterion) {
    EvaluateConfig config;
    *config.add_criteria() = criterion;
    return Judge(config, evaluation_).at(0);
  }

  v1::Evaluation evaluation_;
};

TEST_F(JudgeTest, HoldsForEverySeedFailsForNoneAndIsElseUndecided) {
  Criterion criterion = Of("ko-rule");
  criterion.set_above(0.4);
  criterion.set_below(0.8);
  Verdict verdict = Test(criterion);
  EXPECT_EQ(verdict.claim(), "a claim");
  EXPECT_EQ(verdict.criterion(), "recovery of ko-rule above 0.4 and below 0.8");
  EXPECT_EQ(verdict.result(), Verdict::HOLDS);
  EXPECT_THAT(verdict.values(), ElementsAre(0.5, 0.75));
  criterion.set_above(0.5);  // Not itself inside.
  EXPECT_EQ(Test(criterion).result(), Verdict::UNDECIDED);
  criterion.set_above(0.75);
  EXPECT_EQ(Test(criterion).result(), Verdict::FAILS);
}

TEST_F(JudgeTest, AModelIsNamedByJobOrDocumentOrDocumentAndValues) {
  Criterion criterion = Of("ko-rule-2");
  criterion.set_above(0.0);
  EXPECT_THAT(Test(criterion).values(), ElementsAre(0.75));
  criterion.set_model("default/ko-rule-2");
  EXPECT_THAT(Test(criterion).values(), ElementsAre(0.75));
  criterion.set_model("ko");
  EXPECT_THAT(Test(criterion).values(), ElementsAre(0.5, 0.75, 0.25, 1.0));
  criterion.set_model("ko-random");
  EXPECT_THAT(Test(criterion).values(), ElementsAre(0.25, 1.0));
  criterion.set_model("full");
  EXPECT_THAT(Test(criterion).values(), ElementsAre(1.0));
}

TEST_F(JudgeTest, ValuesThatAreNoNamesAreJoinedAsAJobsNameIs) {
  *evaluation_.add_models() = ModelOf("deep-1-0-15-rule", "deep", "0.15, RULE", 1, 0.125);
  Criterion criterion = Of("deep-0-15-rule");
  criterion.set_above(0.0);
  EXPECT_THAT(Test(criterion).values(), ElementsAre(0.125));
}

TEST_F(JudgeTest, ADifferenceIsTakenSeedBySeed) {
  Criterion criterion = Of("ko-rule");
  criterion.set_minus("ko-random");
  criterion.set_above(0.0);
  const Verdict verdict = Test(criterion);
  EXPECT_EQ(verdict.criterion(), "recovery of ko-rule minus ko-random above 0");
  EXPECT_THAT(verdict.values(), ElementsAre(0.25, -0.25));
  EXPECT_EQ(verdict.result(), Verdict::UNDECIDED);
}

TEST_F(JudgeTest, ASingleModelIsSubtractedFromEverySeed) {
  Criterion criterion = Of("ko-rule", EvaluateConfig::LOSS);
  criterion.set_group("all");
  criterion.set_minus("full");
  criterion.set_below(0.0);
  const Verdict verdict = Test(criterion);
  EXPECT_EQ(verdict.criterion(), "all loss of ko-rule minus full below 0");
  EXPECT_THAT(verdict.values(), ElementsAre(0.5, 0.25));
  EXPECT_EQ(verdict.result(), Verdict::FAILS);
}

TEST_F(JudgeTest, WhatCannotBeTestedIsUndecidedAndSaysWhy) {
  Criterion criterion = Of("nobody");
  criterion.set_above(0.0);
  EXPECT_EQ(Test(criterion).result(), Verdict::UNDECIDED);
  EXPECT_EQ(Test(criterion).criterion(), "recovery of nobody above 0: no model is named nobody");
  criterion.set_model("ko-rule");
  criterion.set_minus("nobody");
  EXPECT_THAT(Test(criterion).criterion(), EndsWith(": no model is named nobody"));
  evaluation_.mutable_models(3)->set_seed(7);
  criterion.set_minus("ko-random");
  EXPECT_THAT(Test(criterion).criterion(), EndsWith(": no single model of ko-random has the seed 2"));
  criterion.clear_minus();
  evaluation_.mutable_models(1)->clear_recovery();
  EXPECT_EQ(Test(criterion).result(), Verdict::UNDECIDED);
  EXPECT_THAT(Test(criterion).criterion(), EndsWith(": ko-rule-2 has no recovery"));
  EXPECT_THAT(Test(criterion).values(), ElementsAre(0.5));
  criterion = Of("ko-rule", EvaluateConfig::LOSS);
  criterion.set_group("fact");
  criterion.set_below(1.0);
  EXPECT_THAT(Test(criterion).criterion(), EndsWith(": ko-rule-1 has no fact loss"));
}

class CheckEvaluateTest : public ::testing::Test {
 protected:
  CheckEvaluateTest() {
    config_.mutable_baseline()->set_job("ko-all");
    config_.add_models()->set_job("ko-sgt");
    Criterion* const criterion = config_.add_criteria();
    criterion->set_claim("selection recovers half");
    criterion->set_measure(EvaluateConfig::RECOVERY);
    criterion->set_model("ko-sgt");
    criterion->set_above(0.5);
  }
  v1::ErrorInfo Refusal() {
    const absl::Status status = CheckEvaluate(config_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(InfoOf(status).field()));
    EXPECT_FALSE(InfoOf(status).remedy().empty());
    return InfoOf(status);
  }
  Criterion* criterion() { return config_.mutable_criteria(0); }

  EvaluateConfig config_;
};

TEST_F(CheckEvaluateTest, TakesWhatIsComplete) {
  EXPECT_TRUE(CheckEvaluate(config_).ok()) << CheckEvaluate(config_);
  config_.clear_criteria();
  EXPECT_TRUE(CheckEvaluate(config_).ok());
}

TEST_F(CheckEvaluateTest, AsksForABaselineAndModels) {
  config_.mutable_models(0)->clear_job();
  EXPECT_EQ(Refusal().field(), "evaluate.models[0]");
  config_.clear_models();
  EXPECT_EQ(Refusal().field(), "evaluate.models");
  config_.mutable_baseline()->set_model("imported");
  EXPECT_EQ(Refusal().field(), "evaluate.baseline");
  config_.clear_baseline();
  EXPECT_EQ(Refusal().field(), "evaluate.baseline");
}

TEST_F(CheckEvaluateTest, RefusesAMeasureThatIsNone) {
  config_.add_measures(EvaluateConfig::SPEED);
  config_.add_measures(EvaluateConfig::MEASURE_UNSPECIFIED);
  EXPECT_EQ(Refusal().field(), "evaluate.measures[1]");
}

TEST_F(CheckEvaluateTest, ACriterionNeedsAClaimAMeasureAndAModel) {
  criterion()->clear_model();
  EXPECT_EQ(Refusal().field(), "evaluate.criteria[0].model");
  criterion()->clear_measure();
  EXPECT_EQ(Refusal().field(), "evaluate.criteria[0].measure");
  criterion()->clear_claim();
  EXPECT_EQ(Refusal().field(), "evaluate.criteria[0].claim");
}

TEST_F(CheckEvaluateTest, ACriterionNeedsBoundsThatLeaveRoom) {
  criterion()->clear_above();
  EXPECT_EQ(Refusal().field(), "evaluate.criteria[0]");
  criterion()->set_above(0.5);
  criterion()->set_below(0.5);
  EXPECT_EQ(Refusal().reason(), "OUT_OF_RANGE");
  EXPECT_EQ(Refusal().field(), "evaluate.criteria[0].above");
  criterion()->set_below(std::nan(""));
  EXPECT_EQ(Refusal().field(), "evaluate.criteria[0].below");
}

TEST_F(CheckEvaluateTest, ACriterionIsAboutWhatIsMeasured) {
  criterion()->set_measure(EvaluateConfig::SPEED);
  EXPECT_EQ(Refusal().remedy(), "add speed to evaluate.measures");
  config_.add_measures(EvaluateConfig::SPEED);
  EXPECT_TRUE(CheckEvaluate(config_).ok());
  criterion()->set_group("rule");
  EXPECT_EQ(Refusal().field(), "evaluate.criteria[0].group");
  criterion()->set_measure(EvaluateConfig::LOSS);
  EXPECT_TRUE(CheckEvaluate(config_).ok());
}

TEST_F(CheckEvaluateTest, ACriterionNamesAModelBeforeAndAfterItsMatrixIsExpanded) {
  criterion()->set_model("ko-sgt-rule");
  criterion()->set_minus("ko-all");
  EXPECT_TRUE(CheckEvaluate(config_).ok());
  config_.mutable_models(0)->set_job("ko-sgt-rule-1");
  EXPECT_TRUE(CheckEvaluate(config_).ok());
  criterion()->set_minus("ko-al");
  EXPECT_EQ(Refusal().field(), "evaluate.criteria[0].minus");
  EXPECT_EQ(Refusal().remedy(), "use ko-all");
}

TEST_F(CheckEvaluateTest, TakesAtMost64Criteria) {
  for (int i = 0; i < 64; ++i) {
    *config_.add_criteria() = config_.criteria(0);
  }
  EXPECT_EQ(Refusal().reason(), "OUT_OF_RANGE");
}

}  // namespace
}  // namespace cherry
