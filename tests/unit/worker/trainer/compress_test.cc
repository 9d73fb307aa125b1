// Whole runs of compression: recovery, growth over stops, ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"
#include "common/hash.h"
#include "common/manifest.h"
#include "tests/unit/worker/trainer/driver.h"

namespace cherry::trainer {
namespace {

class CompressRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const AttemptResult base = RunAttempt(workspace_, workspace_.Attempt(workspace_.Spec(40), 1, 1));
    ASSERT_EQ(base.ranks[0].exit_code, kExitDone) << base.ranks[0].log;
    start_ = base.checkpoints[0];
  }

  AttemptResult Run(const v1::JobSpec& spec, int64_t epoch, int world_size = 1) {
    AttemptResult result = RunAttempt(workspace_, workspace_.SgtAttempt(spec, start_, epoch, world_size));
    EXPECT_EQ(result.ranks[0].exit_code, kExitDone) << result.ranks[0].log;
    return result;
  }

  std::string Hash(const v1::Checkpoint& checkpoint, const char* file) const {
    return HashFile(absl::StrCat(workspace_.checkpoint_root(), "/", checkpoint.path(), "/", file))
        .value_or("none");
  }

  const Workspace workspace_;
  v1::Checkpoint start_;
};

TEST_F(CompressRunTest, MakesGoodWhatMergingCost) {
  const AttemptResult result = Run(workspace_.CompressSpec(30), 2);
  EXPECT_LT(result.Metric("loss/valid", 30), result.Metric("loss/valid/merged", 30));
  EXPECT_GT(result.Metric("recovery/merge", 30), result.Metric("recovery/merge", 10));
  const double merged = result.Metric("loss/valid/merged", 30);
  EXPECT_NEAR(result.Metric("recovery/merge", 30),
              (merged - result.Metric("loss/valid", 30)) / (merged - result.Metric("loss/valid/teacher", 30)),
              1e-9);
  EXPECT_NEAR(result.Metric("loss/valid/teacher", 30), start_.valid_loss(), 1e-6);
}

TEST_F(CompressRunTest, StoppedAnywhereItEndsWithTheSameBytes) {
  const v1::JobSpec spec = workspace_.CompressSpec(18);
  const AttemptResult whole = Run(spec, 2);
  int64_t epoch = 3;
  // Before, at and after the growth of step 6, and between the two.
  for (const int64_t stop : {5, 6, 7, 12}) {
    Driver::Options options;
    options.on_message = [stop](Driver* driver, int, const v1::FromTrainer& message) {
      if (message.has_step() && message.step().step() == stop) {
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
    for (const char* file : {kModelFile, kOptimizerFile}) {
      EXPECT_EQ(Hash(whole.checkpoints[0], file), Hash(resumed.checkpoints[0], file)) << stop << " " << file;
    }
  }
}

TEST_F(CompressRunTest, TwoRanksTrainAsOneDoes) {
  const v1::JobSpec spec = workspace_.CompressSpec(18);
  const AttemptResult one = Run(spec, 2, 1);
  const AttemptResult two = Run(spec, 3, 2);
  double worst = 0.0;
  for (int64_t step = 1; step <= 18; ++step) {
    worst = std::max(worst, std::abs(one.Metric("loss/train", step) - two.Metric("loss/train", step)));
  }
  EXPECT_LT(worst, 1e-5);
}

}  // namespace
}  // namespace cherry::trainer
