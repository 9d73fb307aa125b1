// train.deterministic: the same bytes again, and after any interruption.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"
#include "common/hash.h"
#include "common/manifest.h"
#include "tests/unit/worker/trainer/driver.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSteps = 40;

struct Shards {
  std::string model;
  std::string optimizer;
};

Shards ShardsOf(const Workspace& workspace, const v1::Checkpoint& checkpoint) {
  const std::string directory = absl::StrCat(workspace.checkpoint_root(), "/", checkpoint.path(), "/");
  return {HashFile(directory + kModelFile).value_or("none"),
          HashFile(directory + kOptimizerFile).value_or("none")};
}

// Runs to the end, stopped and resumed at each of `stops`.
Shards RunWithStops(const Workspace& workspace, int world_size, int threads,
                    const std::vector<int64_t>& stops, int64_t first_epoch, int64_t steps = kSteps) {
  std::vector<v1::Checkpoint> checkpoints;
  for (size_t i = 0; i <= stops.size(); ++i) {
    v1::StartAttempt attempt =
        workspace.Attempt(workspace.Spec(steps), first_epoch + static_cast<int64_t>(i), world_size);
    for (const v1::Checkpoint& checkpoint : checkpoints) {
      *attempt.add_resume() = checkpoint;
    }
    Driver::Options options;
    options.threads = threads;
    if (i < stops.size()) {
      options.on_message = [&, i](Driver* driver, int rank, const v1::FromTrainer& message) {
        if (rank == 0 && message.has_step() && message.step().step() == stops[i]) {
          driver->Stop(true);
        }
      };
    }
    const AttemptResult result = RunAttempt(workspace, attempt, options);
    EXPECT_EQ(result.ranks[0].exit_code, i < stops.size() ? kExitResume : kExitDone) << result.ranks[0].log;
    checkpoints.insert(checkpoints.begin(), result.checkpoints.begin(), result.checkpoints.end());
  }
  return checkpoints.empty() ? Shards() : ShardsOf(workspace, checkpoints[0]);
}

class ExactRunsTest : public ::testing::TestWithParam<int> {};

TEST_P(ExactRunsTest, StoppedAndResumedRunsEndWithTheSameBytes) {
  const Workspace workspace;
  const int world_size = GetParam();
  const Shards whole = RunWithStops(workspace, world_size, 1, {}, 1);
  const Shards again = RunWithStops(workspace, world_size, 1, {}, 2);
  EXPECT_EQ(whole.model, again.model);
  EXPECT_EQ(whole.optimizer, again.optimizer);
  const uint32_t seed = std::random_device()();
  RecordProperty("seed", absl::StrCat(seed));
  std::mt19937 random(seed);
  const auto draw = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  const std::vector<int64_t> stops = {draw(1, 12), draw(16, 24), draw(28, 36)};
  const Shards stopped = RunWithStops(workspace, world_size, 1, stops, 10);
  EXPECT_EQ(whole.model, stopped.model) << "seed " << seed;
  EXPECT_EQ(whole.optimizer, stopped.optimizer) << "seed " << seed;
}

INSTANTIATE_TEST_SUITE_P(WorldSizes, ExactRunsTest, ::testing::Values(1, 2));

TEST(ExactTest, TwoThreadsGiveTheSameBytesInEveryRun) {
  const Workspace workspace;
  const Shards first = RunWithStops(workspace, 1, 2, {}, 1, 12);
  const Shards second = RunWithStops(workspace, 1, 2, {5}, 2, 12);
  EXPECT_EQ(first.model, second.model);
  EXPECT_EQ(first.optimizer, second.optimizer);
}

TEST(ExactTest, RanksWithOtherNumbersOfCoresComputeAlike) {
  const Workspace workspace;
  const auto run = [&](int64_t epoch, const std::vector<int>& threads) {
    Driver::Options options;
    options.threads_of_rank = threads;
    const AttemptResult result =
        RunAttempt(workspace, workspace.Attempt(workspace.Spec(12), epoch, 2), options);
    EXPECT_EQ(result.ranks[1].exit_code, kExitDone) << result.ranks[1].log;
    return ShardsOf(workspace, result.checkpoints[0]).model;
  };
  EXPECT_EQ(run(1, {1, 2}), run(2, {1, 1}));
}

TEST(ExactTest, KilledBetweenCheckpointsEndsWithTheSameBytes) {
  const Workspace workspace;
  const Shards whole = RunWithStops(workspace, 2, 1, {}, 1);
  Driver::Options options;
  options.environment["CHERRY_FAULTS"] = "trainer.after_step@25";
  const AttemptResult killed =
      RunAttempt(workspace, workspace.Attempt(workspace.Spec(kSteps), 2, 2), options);
  EXPECT_EQ(killed.ranks[0].signal, SIGKILL);
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(kSteps), 3, 2);
  for (const v1::Checkpoint& checkpoint : killed.checkpoints) {
    *attempt.add_resume() = checkpoint;
  }
  ASSERT_GE(attempt.resume_size(), 1);
  const AttemptResult resumed = RunAttempt(workspace, attempt);
  ASSERT_EQ(resumed.ranks[0].exit_code, kExitDone) << resumed.ranks[0].log;
  const Shards shards = ShardsOf(workspace, resumed.checkpoints[0]);
  EXPECT_EQ(whole.model, shards.model);
  EXPECT_EQ(whole.optimizer, shards.optimizer);
}

TEST(ExactTest, RefusesToGoOnWhereItCouldNotBeExact) {
  const Workspace workspace;
  const AttemptResult first = RunAttempt(workspace, workspace.Attempt(workspace.Spec(10), 1, 1));
  ASSERT_FALSE(first.checkpoints.empty()) << first.ranks[0].log;
  v1::StartAttempt attempt = workspace.Attempt(workspace.Spec(20), 2, 2);
  *attempt.add_resume() = first.checkpoints[0];
  const AttemptResult ranks = RunAttempt(workspace, attempt);
  for (const RankResult& rank : ranks.ranks) {
    EXPECT_EQ(rank.exit_code, kExitUser) << rank.log;
    ASSERT_TRUE(rank.finished.has_value());
    EXPECT_EQ(rank.finished->cause(), v1::CAUSE_USER);
    EXPECT_THAT(rank.finished->message(), HasSubstr("world size 1"));
    EXPECT_THAT(rank.finished->message(), HasSubstr("resources.ranks"));
  }
  attempt = workspace.Attempt(workspace.Spec(20), 3, 1);
  *attempt.add_resume() = first.checkpoints[0];
  Driver::Options options;
  options.threads = 2;
  const AttemptResult threads = RunAttempt(workspace, attempt, options);
  EXPECT_EQ(threads.ranks[0].exit_code, kExitUser);
  EXPECT_THAT(threads.ranks[0].finished->message(), HasSubstr("threads per rank 1"));
}

}  // namespace
}  // namespace cherry::trainer
