// Whole runs of selective training: what they measure, that ranks and interruptions change nothing, what they
// refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "common/file.h"
#include "tests/unit/worker/trainer/method_run.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

using SgtRunTest = MethodRunTest;

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
  ExpectSameLosses(one, two, 30);
  for (const char* group : {"loss/valid", "loss/valid/selected", "loss/valid/unselected"}) {
    EXPECT_NEAR(one.Metric(group, 30), two.Metric(group, 30), 1e-5) << group;
  }
}

TEST_F(SgtRunTest, EverySelectorStoppedAndResumedEndsWithTheSameBytes) {
  int64_t epoch = 2;
  for (const auto selector : {v1::SgtConfig::RULE, v1::SgtConfig::ENTROPY, v1::SgtConfig::EXCESS}) {
    const v1::JobSpec spec = workspace_.SgtSpec(12, selector);
    const AttemptResult whole = Run(spec, epoch);
    const AttemptResult resumed = RunStoppedAt(spec, epoch + 1, 7);
    epoch += 3;
    ExpectSameShards(whole, resumed);
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
      workspace_.MethodAttempt(workspace_.SgtSpec(10, v1::SgtConfig::EXCESS), start_, 2, 2);
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

TEST_F(SgtRunTest, SequencesOneByOneAreTrainedOnAsTwoByTwo) {
  v1::JobSpec spec = workspace_.SgtSpec(5, v1::SgtConfig::ALL);
  spec.mutable_data()->set_targets(v1::DataConfig::RESPONSES);
  const AttemptResult two = Run(spec, 2);
  spec.mutable_train()->set_micro_batch_size(1);
  ExpectSameLosses(two, Run(spec, 3), 5);
}

TEST_F(SgtRunTest, ARootThatIsAwayIsNoDamagedCheckpoint) {
  ASSERT_EQ(unlink(absl::StrCat(workspace_.checkpoint_root(), "/", kRootIdFile).c_str()), 0);
  const AttemptResult result = RunAttempt(
      workspace_, workspace_.MethodAttempt(workspace_.SgtSpec(10, v1::SgtConfig::RANDOM), start_, 2, 1));
  ASSERT_TRUE(result.ranks[0].finished.has_value()) << result.ranks[0].log;
  EXPECT_EQ(result.ranks[0].exit_code, kExitIo) << result.ranks[0].log;
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("checkpoint root cannot be read"));
}

TEST_F(SgtRunTest, HeldOutTextWithoutATargetIsRefusedByName) {
  v1::JobSpec spec = workspace_.SgtSpec(10, v1::SgtConfig::RANDOM);
  spec.mutable_data()->set_targets(v1::DataConfig::RESPONSES);
  // Responses begin at token 30 of a document.
  spec.mutable_train()->set_sequence_length(16);
  spec.mutable_validation()->set_max_sequences(1);
  const AttemptResult result = RunAttempt(workspace_, workspace_.MethodAttempt(spec, start_, 2, 1));
  EXPECT_EQ(result.ranks[0].exit_code, kExitUser) << result.ranks[0].log;
  ASSERT_TRUE(result.ranks[0].finished.has_value());
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("data.valid: none of its first 1 sequences"));
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("validation.max_sequences"));
}

TEST_F(SgtRunTest, LabelsThatChangedAreNoticed) {
  const std::string path = workspace_.data_root() + "/ko/train.labels";
  std::string labels = ReadFile(path).value();
  labels[100] = static_cast<char>(labels[100] ^ 1);
  ASSERT_TRUE(WriteFileAtomically(path, labels).ok());
  const AttemptResult result = RunAttempt(
      workspace_, workspace_.MethodAttempt(workspace_.SgtSpec(10, v1::SgtConfig::RULE), start_, 2, 1));
  EXPECT_EQ(result.ranks[0].exit_code, kExitUser) << result.ranks[0].log;
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("train.labels has changed"));
}

}  // namespace
}  // namespace cherry::trainer
