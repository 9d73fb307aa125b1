// Whole runs of fusion and evaluation: stops, ranks, what they start from and what they measure.
#include <gmock/gmock.h>

#include "tests/unit/worker/trainer/method_run.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

class FuseRunTest : public MethodRunTest {
 protected:
  static v1::JobSpec Routed(v1::JobSpec spec, v1::FuseConfig::Routing routing) {
    spec.mutable_fuse()->set_routing(routing);
    spec.mutable_model()->set_routing(routing);
    if (routing == v1::FuseConfig::TOKEN) {
      spec.clear_multi_token();
      spec.mutable_model()->clear_token_chain();
    }
    return spec;
  }
};

TEST_F(FuseRunTest, StartsFromWhatItsExpertsKnowAndTellsItsLoads) {
  const AttemptResult result = Run(workspace_.FuseSpec(12), 2);
  // Two copies of one model say what it says; the text is the one that they were trained on.
  EXPECT_LT(result.Metric("loss/valid", 10), start_.valid_loss() + 0.05);
  const double first = result.Metric("expert_load/0", 12);
  EXPECT_NEAR(first + result.Metric("expert_load/1", 12), 2.0, 1e-9);
  EXPECT_GE(result.Metric("expert_load/highest", 12), std::max(first, 2.0 - first) - 1e-9);
  EXPECT_GT(result.Metric("router_entropy", 12), 0.0);
  EXPECT_LE(result.Metric("router_entropy", 12), std::log(2.0) + 1e-6);
  EXPECT_GE(result.Metric("draft_acceptance/1", 10), result.Metric("draft_acceptance/2", 10));
}

TEST_F(FuseRunTest, StoppedAnywhereItEndsWithTheSameBytes) {
  int64_t epoch = 2;
  for (const auto routing : {v1::FuseConfig::FFN, v1::FuseConfig::TOKEN}) {
    SCOPED_TRACE(routing);
    const v1::JobSpec spec = Routed(workspace_.FuseSpec(9), routing);
    const AttemptResult whole = Run(spec, epoch);
    ExpectSameShards(whole, RunStoppedAt(spec, epoch + 1, 4));
    epoch += 3;
  }
}

TEST_F(FuseRunTest, TwoRanksTrainAsOneDoes) {
  int64_t epoch = 2;
  for (const auto routing : {v1::FuseConfig::FFN, v1::FuseConfig::TOKEN}) {
    SCOPED_TRACE(routing);
    const v1::JobSpec spec = Routed(workspace_.FuseSpec(12), routing);
    const AttemptResult one = Run(spec, epoch, 1);
    const AttemptResult two = Run(spec, epoch + 1, 2);
    ExpectSameLosses(one, two, 12);
    EXPECT_EQ(one.Metric("expert_load/0", 12), two.Metric("expert_load/0", 12));
    epoch += 2;
  }
}

class EvaluateRunTest : public MethodRunTest {
 protected:
  // Of the base against itself and against a later checkpoint of it.
  v1::StartAttempt Attempt(int64_t epoch, int world_size) {
    v1::StartAttempt attempt = workspace_.Attempt(workspace_.EvaluateSpec(), epoch, world_size);
    const AttemptResult more = Run(workspace_.SgtSpec(10, v1::SgtConfig::ALL), 20 + epoch);
    for (const auto& [role, checkpoint] : {std::pair{"evaluate.start", start_},
                                           {"evaluate.baseline", more.checkpoints[0]},
                                           {"evaluate.models[0]", more.checkpoints[0]}}) {
      v1::JobInput* const input = attempt.add_inputs();
      input->set_role(role);
      *input->mutable_checkpoint() = checkpoint;
      input->mutable_job()->set_name("namespaces/default/jobs/ko-sgt");
      *input->mutable_job()->mutable_resolved() = workspace_.SgtSpec(10, v1::SgtConfig::ALL);
      input->mutable_job()->mutable_progress()->set_tokens(2000);
      input->mutable_job()->mutable_progress()->set_target_tokens(1000);
      input->mutable_job()->mutable_progress()->set_supervised_tokens(250);
    }
    trained_loss_ = more.checkpoints[0].valid_loss();
    return attempt;
  }

  double trained_loss_ = 0.0;
};

TEST_F(EvaluateRunTest, MeasuresWhatTheCheckpointsMeasuredThemselves) {
  for (const int world_size : {1, 2}) {
    SCOPED_TRACE(world_size);
    const AttemptResult result = RunAttempt(workspace_, Attempt(1 + world_size, world_size));
    ASSERT_EQ(result.ranks[0].exit_code, kExitDone) << result.ranks[0].log;
    ASSERT_TRUE(result.ranks[0].finished->has_evaluation());
    const v1::Evaluation& evaluation = result.ranks[0].finished->evaluation();
    ASSERT_EQ(evaluation.models_size(), 1);
    const v1::Evaluation::Model& model = evaluation.models(0);
    EXPECT_EQ(model.losses(0).group(), "all");
    EXPECT_NEAR(model.losses(0).loss(), trained_loss_, 1e-5);
    EXPECT_NEAR(evaluation.starts(0).losses(0).loss(), start_.valid_loss(), 1e-5);
    EXPECT_NEAR(model.recovery(), 1.0, 1e-9);
    EXPECT_NEAR(model.roi(), 4.0, 1e-6);
    EXPECT_EQ(model.document(), "ko-sgt");
    EXPECT_GT(model.tokens_per_second(), 0.0);
    EXPECT_EQ(result.steps.size(), 3u);
    EXPECT_TRUE(result.checkpoints.empty());
  }
}

TEST_F(EvaluateRunTest, ADamagedModelIsNamed) {
  v1::StartAttempt attempt = Attempt(2, 1);
  attempt.mutable_inputs(2)->mutable_checkpoint()->set_manifest_hash("0");
  const AttemptResult result = RunAttempt(workspace_, attempt);
  EXPECT_EQ(result.ranks[0].exit_code, kExitUser) << result.ranks[0].log;
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("evaluate.models[0]: checkpoint "));
}

}  // namespace
}  // namespace cherry::trainer
