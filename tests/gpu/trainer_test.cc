// Whole runs of cherry-trainer on a real GPU, beside the same runs on the CPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"
#include "common/hash.h"
#include "common/manifest.h"
#include "tests/unit/worker/trainer/driver.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSteps = 40;

v1::JobSpec SpecFor(const Workspace& workspace, v1::TrainConfig::Dtype dtype) {
  v1::JobSpec spec = workspace.Spec(kSteps);
  spec.mutable_resources()->set_device(v1::Resources::CUDA);
  spec.mutable_train()->set_dtype(dtype);
  return spec;
}

Driver::Options OnGpu() {
  Driver::Options options;
  options.slot.set_device(v1::Resources::CUDA);
  return options;
}

std::string Shards(const Workspace& workspace, const v1::Checkpoint& checkpoint) {
  const std::string directory = absl::StrCat(workspace.checkpoint_root(), "/", checkpoint.path(), "/");
  return absl::StrCat(HashFile(directory + kModelFile).value_or("no model"), " ",
                      HashFile(directory + kOptimizerFile).value_or("no optimizer"));
}

v1::StartAttempt Resume(v1::StartAttempt attempt, const std::vector<v1::Checkpoint>& checkpoints) {
  for (const v1::Checkpoint& checkpoint : checkpoints) {
    *attempt.add_resume() = checkpoint;
  }
  return attempt;
}

class GpuTrainerTest : public ::testing::TestWithParam<v1::TrainConfig::Dtype> {
 protected:
  const Workspace workspace_;
  const v1::JobSpec spec_ = SpecFor(workspace_, GetParam());
};

INSTANTIATE_TEST_SUITE_P(Dtypes, GpuTrainerTest,
                         ::testing::Values(v1::TrainConfig::FP32, v1::TrainConfig::BF16),
                         [](const auto& info) { return v1::TrainConfig::Dtype_Name(info.param); });

TEST_P(GpuTrainerTest, LearnsAsOnTheCpu) {
  const AttemptResult cpu = RunAttempt(workspace_, workspace_.Attempt(workspace_.Spec(kSteps), 1, 1));
  const AttemptResult gpu = RunAttempt(workspace_, workspace_.Attempt(spec_, 2, 1), OnGpu());
  ASSERT_EQ(gpu.ranks[0].exit_code, kExitDone) << gpu.ranks[0].log;
  double worst = 0.0;
  for (int64_t step = 1; step <= kSteps; ++step) {
    worst = std::max(worst, std::abs(gpu.Metric("loss/train", step) - cpu.Metric("loss/train", step)));
  }
  EXPECT_LT(worst, GetParam() == v1::TrainConfig::FP32 ? 1e-4 : 5e-2);
  RecordProperty("worst_difference", absl::StrCat(worst));
  const bool known = absl::StrContains(gpu.ranks[0].log, "H100") ||
                     absl::StrContains(gpu.ranks[0].log, "H200") ||
                     absl::StrContains(gpu.ranks[0].log, "A100");
  EXPECT_EQ(gpu.steps.back().model_flops_ratio() > 0.0, known);
  EXPECT_LT(gpu.steps.back().model_flops_ratio(), 1.0);
  for (const v1::Checkpoint& checkpoint : gpu.checkpoints) {
    const auto manifest =
        VerifyCheckpoint(absl::StrCat(workspace_.checkpoint_root(), "/", checkpoint.path()));
    EXPECT_TRUE(manifest.ok()) << manifest.status();
  }
}

TEST_P(GpuTrainerTest, StoppedAndResumedRunsEndWithTheSameBytes) {
  const AttemptResult whole = RunAttempt(workspace_, workspace_.Attempt(spec_, 1, 1), OnGpu());
  ASSERT_EQ(whole.ranks[0].exit_code, kExitDone) << whole.ranks[0].log;
  std::vector<v1::Checkpoint> checkpoints;
  for (const int64_t stop : {int64_t{7}, int64_t{23}, kSteps}) {
    Driver::Options options = OnGpu();
    options.on_message = [stop](Driver* driver, int, const v1::FromTrainer& message) {
      if (message.has_step() && message.step().step() == stop) {
        driver->Stop(/*checkpoint=*/true);
      }
    };
    const AttemptResult part =
        RunAttempt(workspace_, Resume(workspace_.Attempt(spec_, stop + 2, 1), checkpoints), options);
    EXPECT_EQ(part.ranks[0].exit_code, stop == kSteps ? kExitDone : kExitResume) << part.ranks[0].log;
    checkpoints.insert(checkpoints.begin(), part.checkpoints.begin(), part.checkpoints.end());
  }
  ASSERT_FALSE(checkpoints.empty());
  EXPECT_EQ(Shards(workspace_, checkpoints[0]), Shards(workspace_, whole.checkpoints[0]));
}

TEST_P(GpuTrainerTest, KilledBetweenCheckpointsEndsWithTheSameBytes) {
  const AttemptResult whole = RunAttempt(workspace_, workspace_.Attempt(spec_, 1, 1), OnGpu());
  Driver::Options options = OnGpu();
  options.environment["CHERRY_FAULTS"] = "trainer.after_step@25";
  const AttemptResult killed = RunAttempt(workspace_, workspace_.Attempt(spec_, 2, 1), options);
  EXPECT_EQ(killed.ranks[0].signal, SIGKILL);
  const AttemptResult resumed =
      RunAttempt(workspace_, Resume(workspace_.Attempt(spec_, 3, 1), killed.checkpoints), OnGpu());
  ASSERT_EQ(resumed.ranks[0].exit_code, kExitDone) << resumed.ranks[0].log;
  EXPECT_GT(resumed.steps.front().step(), 1);
  EXPECT_EQ(Shards(workspace_, resumed.checkpoints[0]), Shards(workspace_, whole.checkpoints[0]));
}

TEST(GpuTrainerMovesTest, ARunGoesFromCpuToGpuAndBack) {
  const Workspace workspace;
  v1::JobSpec spec = workspace.Spec(kSteps);
  spec.mutable_train()->set_deterministic(false);
  spec.mutable_train()->set_dtype(v1::TrainConfig::FP32);
  const AttemptResult whole = RunAttempt(workspace, workspace.Attempt(spec, 1, 1));
  std::vector<v1::Checkpoint> checkpoints;
  for (const int64_t stop : {int64_t{10}, int64_t{20}, kSteps}) {
    Driver::Options options = stop == 20 ? OnGpu() : Driver::Options();
    options.on_message = [stop](Driver* driver, int, const v1::FromTrainer& message) {
      if (message.has_step() && message.step().step() == stop) {
        driver->Stop(/*checkpoint=*/true);
      }
    };
    const AttemptResult part =
        RunAttempt(workspace, Resume(workspace.Attempt(spec, stop, 1), checkpoints), options);
    EXPECT_EQ(part.ranks[0].exit_code, stop == kSteps ? kExitDone : kExitResume) << part.ranks[0].log;
    checkpoints.insert(checkpoints.begin(), part.checkpoints.begin(), part.checkpoints.end());
    if (stop == kSteps) {
      EXPECT_NEAR(part.Metric("loss/train", kSteps), whole.Metric("loss/train", kSteps), 1e-3);
    }
  }
}

TEST(GpuTrainerMovesTest, ExactRefusesToGoOnFromTheOtherDevice) {
  const Workspace workspace;
  const AttemptResult cpu = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  ASSERT_FALSE(cpu.checkpoints.empty());
  const AttemptResult gpu = RunAttempt(
      workspace, Resume(workspace.Attempt(SpecFor(workspace, v1::TrainConfig::FP32), 2, 1), cpu.checkpoints),
      OnGpu());
  EXPECT_EQ(gpu.ranks[0].exit_code, kExitUser) << gpu.ranks[0].log;
  ASSERT_TRUE(gpu.ranks[0].finished.has_value());
  EXPECT_THAT(gpu.ranks[0].finished->message(), HasSubstr("made with processor avx"));
}

TEST(GpuTrainerMovesTest, ABatchTooLargeForItIsOutOfMemory) {
  const Workspace workspace;
  v1::JobSpec spec = SpecFor(workspace, v1::TrainConfig::BF16);
  spec.mutable_train()->set_deterministic(false);
  spec.mutable_model()->set_dim(2048);
  spec.mutable_model()->set_heads(16);
  spec.mutable_model()->set_kv_heads(16);
  spec.mutable_train()->set_micro_batch_size(1 << 17);
  spec.mutable_train()->set_global_batch_size(1 << 17);
  const AttemptResult result = RunAttempt(workspace, workspace.Attempt(spec, 1, 1), OnGpu());
  ASSERT_TRUE(result.ranks[0].finished.has_value()) << result.ranks[0].log;
  EXPECT_EQ(result.ranks[0].finished->cause(), v1::CAUSE_OUT_OF_MEMORY) << result.ranks[0].log;
}

}  // namespace
}  // namespace cherry::trainer
