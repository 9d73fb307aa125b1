// What goes wrong, and what a rank says about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/exit_codes.h"
#include "common/file.h"
#include "common/manifest.h"
#include "tests/unit/worker/trainer/driver.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

void FlipByte(const std::string& path, int64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  ASSERT_TRUE(file.is_open()) << path;
  file.seekg(offset);
  const char byte = static_cast<char>(file.get());
  file.seekp(offset);
  file.put(static_cast<char>(byte ^ 1));
}

std::string PathOf(const Workspace& workspace, const v1::Checkpoint& checkpoint, const char* file) {
  return absl::StrCat(workspace.checkpoint_root(), "/", checkpoint.path(), "/", file);
}

TEST(TrainerFailureTest, AKilledRankEndsTheOthersPromptly) {
  const Workspace workspace;
  Driver::Options options;
  absl::Time killed = absl::InfiniteFuture();
  options.on_message = [&](Driver* driver, int rank, const v1::FromTrainer& message) {
    if (rank == 1 && message.has_step() && message.step().step() == 5) {
      driver->Kill(1, SIGKILL);
      killed = absl::Now();
    }
  };
  const AttemptResult result =
      RunAttempt(workspace, workspace.Attempt(workspace.Spec(100000), 1, 2), options);
  EXPECT_LT(absl::Now() - killed, absl::Seconds(20));
  EXPECT_EQ(result.ranks[1].signal, SIGKILL);
  EXPECT_EQ(result.ranks[0].exit_code, kExitPeerLost) << result.ranks[0].log;
  ASSERT_TRUE(result.ranks[0].finished.has_value());
  EXPECT_EQ(result.ranks[0].finished->cause(), v1::CAUSE_PLATFORM);
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("another rank was lost"));
}

TEST(TrainerFailureTest, ARankThatNeverComesEndsTheRendezvous) {
  const Workspace workspace;
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(10), 1, 2);
  attempt.mutable_rendezvous_timeout()->set_seconds(2);
  Driver::Options options;
  options.on_message = [](Driver* driver, int rank, const v1::FromTrainer& message) {
    if (rank == 1 && message.has_ready()) {
      driver->Kill(1, SIGKILL);
    }
  };
  const AttemptResult result = RunAttempt(workspace, attempt, options);
  EXPECT_EQ(result.ranks[0].exit_code, kExitPeerLost) << result.ranks[0].log;
}

TEST(TrainerFailureTest, ACorruptCheckpointIsReportedAndTheOneBeforeItUsed) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(20), 1, 1));
  ASSERT_EQ(first.checkpoints.size(), 2u) << first.ranks[0].log;
  FlipByte(PathOf(workspace, first.checkpoints[0], kOptimizerFile), 5000);
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(30), 2, 2);
  attempt.mutable_spec()->mutable_train()->set_deterministic(false);
  for (const v1::Checkpoint& checkpoint : first.checkpoints) {
    *attempt.add_resume() = checkpoint;
  }
  const AttemptResult resumed = RunAttempt(workspace, attempt);
  ASSERT_EQ(resumed.ranks[0].exit_code, kExitDone) << resumed.ranks[0].log;
  EXPECT_EQ(resumed.steps.front().step(), 11);
  const v1::AttemptNote* note = resumed.FindNote("CheckpointCorrupt");
  ASSERT_NE(note, nullptr);
  EXPECT_EQ(note->step(), 20);
  EXPECT_THAT(note->message(), HasSubstr("optimizer.safetensors: checksum"));
}

TEST(TrainerFailureTest, WithoutASoundCheckpointTrainingStartsAgain) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  ASSERT_EQ(first.checkpoints.size(), 1u);
  ASSERT_EQ(unlink(PathOf(workspace, first.checkpoints[0], kManifestFile).c_str()), 0);
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(12), 2, 1);
  *attempt.add_resume() = first.checkpoints[0];
  const AttemptResult resumed = RunAttempt(workspace, attempt);
  ASSERT_EQ(resumed.ranks[0].exit_code, kExitDone) << resumed.ranks[0].log;
  EXPECT_EQ(resumed.steps.front().step(), 1);
  EXPECT_NE(resumed.FindNote("CheckpointCorrupt"), nullptr);
  EXPECT_NE(resumed.FindNote("Warning"), nullptr);
}

TEST(TrainerFailureTest, ACorruptSourceOfContinueIsRefused) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  ASSERT_EQ(first.checkpoints.size(), 1u);
  FlipByte(PathOf(workspace, first.checkpoints[0], kModelFile), 9000);
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(20), 2, 1);
  attempt.mutable_attempt()->set_job_uid("uid-2");
  attempt.mutable_spec()->mutable_continue_()->set_job("ko-base");
  *attempt.add_resume() = first.checkpoints[0];
  const AttemptResult result = RunAttempt(workspace, attempt);
  EXPECT_EQ(result.ranks[0].exit_code, kExitUser) << result.ranks[0].log;
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("continue: no checkpoint of ko-base is sound"));
  EXPECT_TRUE(result.steps.empty());
}

TEST(TrainerFailureTest, ACheckpointThatCannotBeReadNowIsNotTakenForCorrupt) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  ASSERT_EQ(first.checkpoints.size(), 1u);
  const std::string manifest = PathOf(workspace, first.checkpoints[0], kManifestFile);
  ASSERT_EQ(unlink(manifest.c_str()), 0);
  ASSERT_EQ(symlink(manifest.c_str(), manifest.c_str()), 0);  // ELOOP
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(20), 2, 1);
  *attempt.add_resume() = first.checkpoints[0];
  const AttemptResult result = RunAttempt(workspace, attempt);
  EXPECT_EQ(result.ranks[0].exit_code, kExitIo) << result.ranks[0].log;
  EXPECT_EQ(result.FindNote("CheckpointCorrupt"), nullptr);
  EXPECT_TRUE(result.steps.empty());
}

TEST(TrainerFailureTest, ARootThatIsNotMountedDoesNotLoseTheRun) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  ASSERT_EQ(first.checkpoints.size(), 1u);
  ASSERT_EQ(rename(workspace.checkpoint_root().c_str(), (workspace.path() + "/away").c_str()), 0);
  ASSERT_TRUE(MakeDirectories(workspace.checkpoint_root()).ok());
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(20), 2, 1);
  *attempt.add_resume() = first.checkpoints[0];
  const AttemptResult result = RunAttempt(workspace, attempt);
  EXPECT_EQ(result.ranks[0].exit_code, kExitIo) << result.ranks[0].log;
  EXPECT_EQ(result.FindNote("CheckpointCorrupt"), nullptr);
}

TEST(TrainerFailureTest, ACorruptFromIsRefused) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  ASSERT_EQ(first.checkpoints.size(), 1u);
  FlipByte(PathOf(workspace, first.checkpoints[0], kModelFile), 9000);
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(10), 2, 1);
  *attempt.mutable_from() = first.checkpoints[0];
  const AttemptResult result = RunAttempt(workspace, attempt);
  EXPECT_EQ(result.ranks[0].exit_code, kExitUser);
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("model.safetensors: checksum"));
  EXPECT_TRUE(result.steps.empty());
}

TEST(TrainerFailureTest, AnUnreadableRootDoesNotLoseTheRun) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  ASSERT_EQ(first.checkpoints.size(), 1u);
  const std::string away = workspace.path() + "/away";
  ASSERT_EQ(rename(workspace.checkpoint_root().c_str(), away.c_str()), 0);
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(20), 2, 1);
  *attempt.add_resume() = first.checkpoints[0];
  const AttemptResult result = RunAttempt(workspace, attempt);
  EXPECT_EQ(result.ranks[0].exit_code, kExitIo) << result.ranks[0].log;
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("checkpoint root"));
  EXPECT_TRUE(result.steps.empty());
}

TEST(TrainerFailureTest, ATruncatedTokenFileIsRefusedByAllRanks) {
  const Workspace workspace;
  const std::string bin = workspace.data_root() + "/ko/train.bin";
  ASSERT_EQ(truncate(bin.c_str(), 1000), 0);
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 2));
  for (const RankResult& rank : result.ranks) {
    EXPECT_EQ(rank.exit_code, kExitUser) << rank.log;
    ASSERT_TRUE(rank.finished.has_value());
    EXPECT_THAT(rank.finished->message(), HasSubstr("data.train"));
    EXPECT_THAT(rank.finished->message(), HasSubstr("train.bin has 1000 bytes"));
    EXPECT_THAT(rank.finished->message(), HasSubstr("prepare"));
  }
}

TEST(TrainerFailureTest, AChangedTokenFileIsRefusedByAllRanks) {
  const Workspace workspace;
  FlipByte(workspace.data_root() + "/ko/valid.bin", 100);
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 2));
  for (const RankResult& rank : result.ranks) {
    EXPECT_EQ(rank.exit_code, kExitUser) << rank.log;
    EXPECT_THAT(rank.finished->message(), HasSubstr("valid.bin has changed"));
  }
}

TEST(TrainerFailureTest, AFullDiskIsReportedByAllRanksAndLeavesNothingBehind) {
  const Workspace workspace;
  Driver::Options options;
  options.largest_file = 40000;
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(workspace.Spec(1000), 1, 2), options);
  for (const RankResult& rank : result.ranks) {
    EXPECT_EQ(rank.exit_code, kExitIo) << rank.log;
    ASSERT_TRUE(rank.finished.has_value());
    EXPECT_EQ(rank.finished->cause(), v1::CAUSE_USER);
    EXPECT_THAT(rank.finished->message(), HasSubstr("could not be saved"));
    EXPECT_THAT(rank.finished->message(), HasSubstr("are free in"));
  }
  EXPECT_TRUE(result.checkpoints.empty());
  EXPECT_LT(result.steps.size(), 1000u);
  EXPECT_FALSE(Exists(workspace.checkpoint_root() + "/default/uid-1/epoch-1/step-00000010"));
}

TEST(TrainerFailureTest, ALossThatIsNotFiniteEndsTheStepAndIsNeverSaved) {
  const Workspace workspace;
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(1000), 1, 2);
  attempt.mutable_spec()->mutable_train()->mutable_optimizer()->set_learning_rate(1e38);
  attempt.mutable_spec()->mutable_train()->mutable_lr_scheduler()->set_warmup_steps(0);
  attempt.mutable_spec()->mutable_checkpoint()->set_every_steps(1);
  const AttemptResult result = RunAttempt(workspace, attempt);
  for (const RankResult& rank : result.ranks) {
    EXPECT_EQ(rank.exit_code, kExitUser) << rank.log;
    ASSERT_TRUE(rank.finished.has_value());
    EXPECT_THAT(rank.finished->message(), HasSubstr("learning_rate"));
  }
  EXPECT_LT(result.steps.size(), 10u);
  EXPECT_TRUE(result.checkpoints.empty());
}

class CrashPointTest : public ::testing::TestWithParam<const char*> {};

TEST_P(CrashPointTest, AKillThereCostsNoCommittedCheckpoint) {
  const Workspace workspace;
  Driver::Options options;
  options.environment["CHERRY_FAULTS"] = absl::StrCat(GetParam(), "@2");
  const AttemptResult killed = RunAttempt(workspace, workspace.Attempt(workspace.Spec(30), 1, 1), options);
  ASSERT_EQ(killed.ranks[0].signal, SIGKILL) << killed.ranks[0].log;
  ASSERT_EQ(killed.checkpoints.size(), 1u);
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(30), 2, 1);
  *attempt.add_resume() = killed.checkpoints[0];
  const AttemptResult resumed = RunAttempt(workspace, attempt);
  ASSERT_EQ(resumed.ranks[0].exit_code, kExitDone) << resumed.ranks[0].log;
  EXPECT_EQ(resumed.steps.front().step(), 11);
  EXPECT_EQ(resumed.FindNote("CheckpointCorrupt"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Points, CrashPointTest,
                         ::testing::Values("checkpoint.before_model", "checkpoint.before_optimizer",
                                           "checkpoint.before_manifest", "checkpoint.after_manifest"));

TEST(TrainerFailureTest, CudaWithoutAGpuIsOneClearError) {
  const Workspace workspace;
  Driver::Options options;
  options.slot.set_device(v1::Resources::CUDA);
  options.environment["CUDA_VISIBLE_DEVICES"] = "";
  options.slot.set_gpu_uuid("GPU-00000000-0000-0000-0000-000000000000");
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1), options);
  EXPECT_EQ(result.ranks[0].exit_code, kExitUser) << result.ranks[0].log;
  ASSERT_TRUE(result.ranks[0].finished.has_value());
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("cuda is not available here"));
  EXPECT_THAT(result.ranks[0].finished->message(), HasSubstr("device: cpu"));
  EXPECT_THAT(result.ranks[0].finished->message(), Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace cherry::trainer
