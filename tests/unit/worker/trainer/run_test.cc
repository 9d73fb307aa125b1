// Whole runs: what they report, leave behind, and share between world sizes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"
#include "common/file.h"
#include "common/manifest.h"
#include "tests/unit/worker/trainer/driver.h"

namespace cherry::trainer {
namespace {

using ::testing::Each;
using ::testing::Field;

std::string DirectoryOf(const Workspace& workspace, const v1::Checkpoint& checkpoint) {
  return absl::StrCat(workspace.checkpoint_root(), "/", checkpoint.path());
}

TEST(TrainerRunTest, OneRankLearnsAndLeavesVerifiedCheckpoints) {
  const Workspace workspace;
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(workspace.Spec(30), 1, 1));
  ASSERT_EQ(result.ranks[0].exit_code, kExitDone) << result.ranks[0].log;
  EXPECT_EQ(result.ranks[0].finished->cause(), v1::CAUSE_SUCCEEDED);
  EXPECT_EQ(result.ranks[0].finished->last_step(), 30);
  ASSERT_EQ(result.steps.size(), 30u);
  EXPECT_NEAR(result.Metric("loss/train", 1), std::log(64.0), 0.2);
  EXPECT_LT(result.Metric("loss/train", 30), result.Metric("loss/train", 1) - 1.0);
  EXPECT_LT(result.Metric("loss/valid", 30), result.Metric("loss/valid", 10));
  EXPECT_NE(result.FindNote("MemoryPlan"), nullptr);
  ASSERT_EQ(result.checkpoints.size(), 3u);
  for (const v1::Checkpoint& checkpoint : result.checkpoints) {
    const absl::StatusOr<Manifest> manifest = VerifyCheckpoint(DirectoryOf(workspace, checkpoint));
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    EXPECT_EQ(manifest->step, checkpoint.step());
    EXPECT_EQ(manifest->sample_cursor, checkpoint.step() * 8);
    EXPECT_EQ(manifest->files.size(), 4u);
    EXPECT_DOUBLE_EQ(checkpoint.valid_loss(), result.Metric("loss/valid", checkpoint.step()));
  }
  EXPECT_EQ(result.checkpoints[0].path(), "default/uid-1/epoch-1/step-00000030");
}

TEST(TrainerRunTest, ReportsProgressAndSamplesOnRankZeroOnly) {
  const Workspace workspace;
  Driver::Options options;
  int other_reports = 0;
  options.on_message = [&](Driver*, int rank, const v1::FromTrainer& message) {
    if (rank == 1 && message.has_step()) {
      ++other_reports;
      EXPECT_FALSE(message.step().has_progress());
      EXPECT_EQ(message.step().samples_size(), 0);
    }
  };
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(workspace.Spec(4), 1, 2), options);
  EXPECT_THAT(result.ranks, Each(Field(&RankResult::exit_code, kExitDone))) << result.ranks[0].log;
  EXPECT_EQ(other_reports, 4);
  const v1::Progress& progress = result.steps.back().progress();
  EXPECT_EQ(progress.step(), 4);
  EXPECT_EQ(progress.total_steps(), 4);
  EXPECT_EQ(progress.tokens(), 4 * 8 * 32);
  EXPECT_GT(progress.tokens_per_second(), 0.0);
  EXPECT_GT(result.steps.back().step_seconds(), 0.0);
  EXPECT_EQ(result.steps.back().supervised_tokens(), 8 * 32);
  for (const char* name : {"gradient_norm", "learning_rate", "tokens_per_second", "step_seconds"}) {
    EXPECT_GT(result.Metric(name, 2), 0.0) << name;
  }
}

TEST(TrainerRunTest, TwoRanksTrainAsOneDoes) {
  const Workspace workspace;
  const v1::JobSpec spec = workspace.Spec(50);
  const AttemptResult one = RunAttempt(workspace, workspace.Attempt(spec, 1, 1));
  const AttemptResult two = RunAttempt(workspace, workspace.Attempt(spec, 2, 2));
  ASSERT_EQ(one.ranks[0].exit_code, kExitDone) << one.ranks[0].log;
  ASSERT_EQ(two.ranks[0].exit_code, kExitDone) << two.ranks[0].log;
  double worst = 0.0;
  for (int step = 1; step <= 50; ++step) {
    worst = std::max(worst, std::abs(one.Metric("loss/train", step) - two.Metric("loss/train", step)));
  }
  EXPECT_LT(worst, 1e-5);
  EXPECT_NEAR(one.Metric("loss/valid", 50), two.Metric("loss/valid", 50), 1e-5);
  RecordProperty("worst_difference", absl::StrCat(worst));
}

TEST(TrainerRunTest, RanksAgreeOnTheStepToStopAfter) {
  const Workspace workspace;
  Driver::Options options;
  int64_t last_step[2] = {0, 0};
  options.on_message = [&](Driver* driver, int rank, const v1::FromTrainer& message) {
    if (message.has_step()) {
      last_step[rank] = message.step().step();
      if (rank == 1 && message.step().step() == 7) {
        driver->Stop(/*checkpoint=*/true);
      }
    }
  };
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(workspace.Spec(5000), 1, 2), options);
  EXPECT_THAT(result.ranks, Each(Field(&RankResult::exit_code, kExitResume))) << result.ranks[0].log;
  EXPECT_EQ(result.ranks[0].finished->cause(), v1::CAUSE_STOPPED);
  EXPECT_GE(last_step[0], 7);
  EXPECT_EQ(last_step[0], last_step[1]);
  ASSERT_FALSE(result.checkpoints.empty());
  EXPECT_EQ(result.checkpoints[0].step(), last_step[0]);
}

TEST(TrainerRunTest, StopWithoutCheckpointSavesNothing) {
  const Workspace workspace;
  Driver::Options options;
  options.on_message = [](Driver* driver, int, const v1::FromTrainer& message) {
    if (message.has_step() && message.step().step() == 3) {
      driver->Stop(/*checkpoint=*/false);
    }
  };
  v1::JobSpec spec = workspace.Spec(5000);
  spec.mutable_checkpoint()->set_every_steps(5000);
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(spec, 1, 1), options);
  EXPECT_EQ(result.ranks[0].exit_code, kExitResume) << result.ranks[0].log;
  EXPECT_TRUE(result.checkpoints.empty());
}

TEST(TrainerRunTest, SigtermStopsWithACheckpoint) {
  const Workspace workspace;
  Driver::Options options;
  options.on_message = [](Driver* driver, int, const v1::FromTrainer& message) {
    if (message.has_step() && message.step().step() == 3) {
      driver->Kill(0, SIGTERM);
    }
  };
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(workspace.Spec(5000), 1, 1), options);
  EXPECT_EQ(result.ranks[0].exit_code, kExitResume) << result.ranks[0].log;
  EXPECT_GE(result.checkpoints.size(), 1u);
}

TEST(TrainerRunTest, ResumesAtAnotherWorldSize) {
  const Workspace workspace;
  v1::JobSpec spec = workspace.Spec(30);
  spec.mutable_train()->set_deterministic(false);
  const AttemptResult whole = RunAttempt(workspace, workspace.Attempt(spec, 1, 1));
  v1::JobSpec first = spec;
  Driver::Options options;
  options.on_message = [](Driver* driver, int, const v1::FromTrainer& message) {
    if (message.has_step() && message.step().step() == 12) {
      driver->Stop(true);
    }
  };
  const AttemptResult stopped = RunAttempt(workspace, workspace.Attempt(first, 2, 2), options);
  ASSERT_EQ(stopped.ranks[0].exit_code, kExitResume) << stopped.ranks[0].log;
  v1::StartAttempt attempt = workspace.Attempt(spec, 3, 1);
  for (const v1::Checkpoint& checkpoint : stopped.checkpoints) {
    *attempt.add_resume() = checkpoint;
  }
  const AttemptResult resumed = RunAttempt(workspace, attempt);
  ASSERT_EQ(resumed.ranks[0].exit_code, kExitDone) << resumed.ranks[0].log;
  EXPECT_EQ(resumed.steps.front().step(), stopped.checkpoints[0].step() + 1);
  EXPECT_NEAR(resumed.Metric("loss/train", 30), whole.Metric("loss/train", 30), 1e-4);
}

TEST(TrainerRunTest, FromTakesWeightsOnly) {
  const Workspace workspace;
  const AttemptResult parent = RunAttempt(workspace, workspace.Attempt(workspace.Spec(20), 1, 1));
  ASSERT_EQ(parent.ranks[0].exit_code, kExitDone) << parent.ranks[0].log;
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(10), 1, 1);
  attempt.mutable_attempt()->set_job_uid("uid-2");
  attempt.set_checkpoint_directory("default/uid-2/epoch-1");
  *attempt.mutable_from() = parent.checkpoints[0];
  const AttemptResult child = RunAttempt(workspace, attempt);
  ASSERT_EQ(child.ranks[0].exit_code, kExitDone) << child.ranks[0].log;
  EXPECT_EQ(child.steps.front().step(), 1);
  EXPECT_NEAR(child.Metric("loss/train", 1), parent.Metric("loss/train", 20), 0.5);
  const absl::StatusOr<Manifest> manifest = ReadManifest(DirectoryOf(workspace, child.checkpoints[0]));
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->parent, parent.checkpoints[0].name());
}

TEST(TrainerRunTest, AFinishedJobEndsAtOnceWhenItIsStartedAgain) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(10), 2, 1);
  *attempt.add_resume() = first.checkpoints[0];
  const AttemptResult again = RunAttempt(workspace, attempt);
  EXPECT_EQ(again.ranks[0].exit_code, kExitDone) << again.ranks[0].log;
  EXPECT_TRUE(again.steps.empty());
  EXPECT_TRUE(again.checkpoints.empty());
}

TEST(TrainerRunTest, ContinuesAnotherJobAndSavesItsOwnCheckpoint) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(10), 1, 1);
  attempt.mutable_attempt()->set_job_uid("uid-2");
  attempt.set_checkpoint_directory("default/uid-2/epoch-1");
  *attempt.add_resume() = first.checkpoints[0];
  const AttemptResult second = RunAttempt(workspace, attempt);
  ASSERT_EQ(second.ranks[0].exit_code, kExitDone) << second.ranks[0].log;
  ASSERT_EQ(second.checkpoints.size(), 1u);
  EXPECT_EQ(second.checkpoints[0].step(), 10);
}

TEST(TrainerRunTest, WaitsForTheFinalCommit) {
  const Workspace workspace;
  Driver::Options options;
  options.commit = false;
  bool finished_before_commit = false;
  bool committed = false;
  options.on_message = [&](Driver* driver, int, const v1::FromTrainer& message) {
    if (message.has_finished()) {
      finished_before_commit = !committed;
    }
    if (message.has_checkpoint() && message.checkpoint().final()) {
      EXPECT_EQ(message.checkpoint().checkpoint().step(), 3);
      committed = true;
      driver->Commit(3);
    }
  };
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(workspace.Spec(3), 1, 1), options);
  EXPECT_EQ(result.ranks[0].exit_code, kExitDone) << result.ranks[0].log;
  EXPECT_TRUE(committed);
  EXPECT_FALSE(finished_before_commit);
}

TEST(TrainerRunTest, EndsWhenTheWorkerHangsUp) {
  const Workspace workspace;
  Driver::Options options;
  options.on_message = [](Driver* driver, int rank, const v1::FromTrainer& message) {
    if (message.has_step() && message.step().step() == 2) {
      driver->HangUp(rank);
    }
  };
  const AttemptResult result =
      RunAttempt(workspace, workspace.Attempt(workspace.Spec(100000), 1, 1), options);
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.ranks[0].exit_code, kExitPeerLost);
  EXPECT_FALSE(result.ranks[0].finished.has_value());
}

}  // namespace
}  // namespace cherry::trainer
