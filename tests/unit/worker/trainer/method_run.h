// Runs of a method from a base that was trained before each test.
#ifndef CHERRY_TESTS_UNIT_WORKER_TRAINER_METHOD_RUN_H_
#define CHERRY_TESTS_UNIT_WORKER_TRAINER_METHOD_RUN_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"
#include "common/hash.h"
#include "common/manifest.h"
#include "tests/unit/worker/trainer/driver.h"

namespace cherry::trainer {

class MethodRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const AttemptResult base = RunAttempt(workspace_, workspace_.Attempt(workspace_.Spec(40), 1, 1));
    ASSERT_EQ(base.ranks[0].exit_code, kExitDone) << base.ranks[0].log;
    start_ = base.checkpoints[0];
  }

  AttemptResult Run(const v1::JobSpec& spec, int64_t epoch, int world_size = 1) {
    AttemptResult result = RunAttempt(workspace_, workspace_.MethodAttempt(spec, start_, epoch, world_size));
    EXPECT_EQ(result.ranks[0].exit_code, kExitDone) << result.ranks[0].log;
    return result;
  }

  // Stopped after `step` and taken up again; `epoch` and the next one.
  AttemptResult RunStoppedAt(const v1::JobSpec& spec, int64_t epoch, int64_t step) {
    Driver::Options options;
    options.on_message = [step](Driver* driver, int, const v1::FromTrainer& message) {
      if (message.has_step() && message.step().step() == step) {
        driver->Stop(true);
      }
    };
    const AttemptResult stopped =
        RunAttempt(workspace_, workspace_.MethodAttempt(spec, start_, epoch, 1), options);
    EXPECT_EQ(stopped.ranks[0].exit_code, kExitResume) << stopped.ranks[0].log;
    v1::StartAttempt again = workspace_.MethodAttempt(spec, start_, epoch + 1, 1);
    for (const v1::Checkpoint& checkpoint : stopped.checkpoints) {
      *again.add_resume() = checkpoint;
    }
    AttemptResult resumed = RunAttempt(workspace_, again);
    EXPECT_EQ(resumed.ranks[0].exit_code, kExitDone) << resumed.ranks[0].log;
    return resumed;
  }

  void ExpectSameShards(const AttemptResult& a, const AttemptResult& b) const {
    for (const char* file : {kModelFile, kOptimizerFile}) {
      EXPECT_EQ(Hash(a.checkpoints[0], file), Hash(b.checkpoints[0], file)) << file;
    }
  }

  void ExpectSameLosses(const AttemptResult& a, const AttemptResult& b, int64_t steps) const {
    double worst = 0.0;
    for (int64_t step = 1; step <= steps; ++step) {
      worst = std::max(worst, std::abs(a.Metric("loss/train", step) - b.Metric("loss/train", step)));
    }
    EXPECT_LT(worst, 1e-5);
  }

  const Workspace workspace_;
  v1::Checkpoint start_;

 private:
  std::string Hash(const v1::Checkpoint& checkpoint, const char* file) const {
    return HashFile(absl::StrCat(workspace_.checkpoint_root(), "/", checkpoint.path(), "/", file)).value();
  }
};

}  // namespace cherry::trainer

#endif  // CHERRY_TESTS_UNIT_WORKER_TRAINER_METHOD_RUN_H_
