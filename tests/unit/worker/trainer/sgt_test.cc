// Whole runs of selective training: what they measure, that ranks and interruptions change nothing, what they
// refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/manifest.h"
#include "tests/unit/worker/trainer/driver.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

class SgtRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const AttemptResult base = RunAttempt(workspace_, workspace_.Attempt(workspace_.Spec(30), 1, 1));
    ASSERT_EQ(base.ranks[0].exit_code, kExitDone) << base.ranks[0].log;
    start_ = base.checkpoints[0];
  }

  AttemptResult Run(const v1::JobSpec& spec, int64_t epoch, int world_size = 1) {
    AttemptResult result = RunAttempt(workspace_, workspace_.SgtAttempt(spec, start_, epoch, world_size));
    EXPECT_EQ(result.ranks[0].exit_code, kExitDone) << result.ranks[0].log;
    return result;
  }

  std::string ModelHash(const v1::Checkpoint& checkpoint) const {
    return HashFile(absl::StrCat(workspace_.checkpoint_root(), "/", checkpoint.path(), "/", kModelFile))
        .value_or("none");
  }

  const Workspace workspace_;
  v1::Checkpoint start_;
};

TEST_F(SgtRunTest, MeasuresTheCouplingAndWhatBecomesOfEachGroup) {
  const AttemptResult result = Run(workspace_.SgtSpec(20, v1::SgtConfig::RANDOM), 2);
  EXPECT_EQ(result.steps.back().supervised_tokens(), 8 * 5);  // round(0.15 * 32) of each sequence
  for (const char* name :
       {"cosine", "projection", "random_cosine", "cross_cosine", "predicted", "measured"}) {
    EXPECT_TRUE(std::isfinite(result.Metric(absl::StrCat("coupling/", name), 6))) << name;
  }
  for (const char* group : {"selected", "unselected", "rule", "other", "fact"}) {
    EXPECT_GT(result.Metric(absl::StrCat("loss/valid/", group), 10), 0.0) << group;
  }
  EXPECT_GT(result.Metric("loss/valid/fact", 10), result.Metric("loss/valid/other", 10));
  EXPECT_TRUE(std::isfinite(result.Metric("wave", 20)));
  EXPECT_TRUE(std::isfinite(result.Metric("omega", 20)));
}

TEST_F(SgtRunTest, TheRuleSupervisesOnlyWhatItsLabelsName) {
  const AttemptResult result = Run(workspace_.SgtSpec(10, v1::SgtConfig::RULE), 2);
  for (const v1::StepReport& step : result.steps) {
    EXPECT_LT(step.supervised_tokens(),
              8 * 5);  // One in sixteen tokens is a fact, and the budget stays unfilled.
  }
}

TEST_F(SgtRunTest, TwoRanksTrainAsOneDoesWithUnequalNumbersOfTargets) {
  v1::JobSpec spec = workspace_.SgtSpec(30, v1::SgtConfig::RULE);
  const AttemptResult one = Run(spec, 2, 1);
  const AttemptResult two = Run(spec, 3, 2);
  double worst = 0.0;
  for (int64_t step = 1; step <= 30; ++step) {
    worst = std::max(worst, std::abs(one.Metric("loss/train", step) - two.Metric("loss/train", step)));
  }
  EXPECT_LT(worst, 1e-5);
  for (const char* group : {"loss/valid", "loss/valid/selected", "loss/valid/unselected"}) {
    EXPECT_NEAR(one.Metric(group, 30), two.Metric(group, 30), 1e-5) << group;
  }
}

TEST_F(SgtRunTest, EverySelectorStoppedAndResumedEndsWithTheSameBytes) {
  int64_t epoch = 2;
  for (const auto selector : {v1::SgtConfig::RULE, v1::SgtConfig::ENTROPY, v1::SgtConfig::EXCESS}) {
    const v1::JobSpec spec = workspace_.SgtSpec(12, selector);
    const AttemptResult whole = Run(spec, epoch++);
    Driver::Options options;
    options.on_message = [](Driver* driver, int, const v1::FromTrainer& message) {
      if (message.has_step() && message.step().step() == 7) {
        driver->Stop(true);
      }
    };
    const AttemptResult stopped =
        RunAttempt(workspace_, workspace_.SgtAttempt(spec, start_, epoch++, 1), options);
    ASSERT_EQ(stopped.ranks[0].exit_code, kExitResume) << stopped.ranks[0].log;
    v1::StartAttempt again = workspace_.SgtAttempt(spec, start_, epoch++, 1);
    *again.add_resume() = stopped.checkpoints[0];
    const AttemptResult resumed = RunAttempt(workspace_, again);
    ASSERT_EQ(resumed.ranks[0].exit_code, kExitDone) << resumed.ranks[0].log;
    EXPECT_EQ(ModelHash(whole.checkpoints[0]), ModelHash(resumed.checkpoints[0])) << selector;
    EXPECT_EQ(whole.Metric("wave", 12), resumed.Metric("wave", 12)) << selector;
  }
}

TEST_F(SgtRunTest, WarnsWhenTheOthersLoseWhatTheSelectedGain) {
  v1::JobSpec spec = workspace_.SgtSpec(20, v1::SgtConfig::RULE);
  spec.mutable_sgt()->set_anchor(0.0);
  spec.mutable_train()->mutable_optimizer()->set_learning_rate(1e-2);
  const AttemptResult result = Run(spec, 2);
  const v1::AttemptNote* warning = result.FindNote("Warning");
  ASSERT_NE(warning, nullptr);
  EXPECT_THAT(warning->message(), HasSubstr("unselected tokens has risen"));
  EXPECT_THAT(warning->message(), HasSubstr("sgt.anchor"));
}

TEST_F(SgtRunTest, TheAnchorHoldsTheOthersWhereTheyWere) {
  v1::JobSpec spec = workspace_.SgtSpec(20, v1::SgtConfig::RULE);
  const auto loss_of_others = [&](double anchor, int64_t epoch) {
    spec.mutable_sgt()->set_anchor(anchor);
    return Run(spec, epoch).Metric("loss/valid/unselected", 20);
  };
  EXPECT_LT(loss_of_others(10.0, 2), loss_of_others(0.0, 3));
}

TEST_F(SgtRunTest, OnlyResponsesAreTargetsWhenAskedFor) {
  v1::JobSpec spec = workspace_.SgtSpec(10, v1::SgtConfig::ALL);
  spec.mutable_data()->set_targets(v1::DataConfig::RESPONSES);
  const AttemptResult result = Run(spec, 2);
  int64_t supervised = 0;
  for (const v1::StepReport& step : result.steps) {
    supervised += step.supervised_tokens();
  }
  EXPECT_NEAR(static_cast<double>(supervised) / (10 * 8 * 32), 30.0 / 61.0, 0.05);
}

TEST_F(SgtRunTest, ADamagedReferenceIsRefusedByItsField) {
  v1::StartAttempt attempt =
      workspace_.SgtAttempt(workspace_.SgtSpec(10, v1::SgtConfig::EXCESS), start_, 2, 2);
  v1::Checkpoint damaged = start_;
  damaged.set_manifest_hash("0");
  *attempt.mutable_inputs(1)->mutable_checkpoint() = damaged;
  const AttemptResult result = RunAttempt(workspace_, attempt);
  for (const RankResult& rank : result.ranks) {
    EXPECT_EQ(rank.exit_code, kExitUser) << rank.log;
    ASSERT_TRUE(rank.finished.has_value());
    EXPECT_THAT(rank.finished->message(), HasSubstr("sgt.reference: checkpoint"));
  }
}

TEST_F(SgtRunTest, LabelsThatChangedAreNoticed) {
  const std::string path = workspace_.data_root() + "/ko/train.labels";
  std::string labels = ReadFile(path).value();
  labels[100] = static_cast<char>(labels[100] ^ 1);
  ASSERT_TRUE(WriteFileAtomically(path, labels).ok());
  const AttemptResult result = RunAttempt(
      workspace_, workspace_.SgtAttempt(workspace_.SgtSpec(10, v1::SgtConfig::RULE), start_, 2, 1));
  EXPECT_EQ(result.ranks[0].exit_code, kExitUser) << result.ranks[0].log;
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("train.labels has changed"));
}

}  // namespace
}  // namespace cherry::trainer
