// Jobs through all four programs, without any failure.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <random>

#include "fixture.h"

namespace cherry::integration {
namespace {

using ::testing::HasSubstr;
using LifeOfAJobTest = ClusterTest;

TEST_F(LifeOfAJobTest, TrainsCheckpointsAndKeepsItsLogs) {
  SubmitJob("plain");
  const v1::Job job = ExpectUndisturbedResult("plain");
  EXPECT_EQ(job.attempts_size(), 1);
  EXPECT_LT(job.progress().loss(), 4.1);  // ln 64 is 4.16: it has learnt something.
  const auto checkpoints = cluster_->Checkpoints("plain");
  ASSERT_TRUE(checkpoints.ok());
  EXPECT_EQ(checkpoints->size(), 6u);
  for (int rank = 0; rank < kRanks; ++rank) {
    const auto log = cluster_->Logs("plain", rank);
    ASSERT_TRUE(log.ok()) << log.status();
    EXPECT_THAT(*log, HasSubstr("rank " + std::to_string(rank) + " of 2"));
  }
}

TEST_F(LifeOfAJobTest, PausedAtAnyStepAndResumedItEndsBitForBitTheSame) {
  std::random_device seed;
  std::mt19937 random(seed());
  SubmitJob("paused");
  for (int stop = 0; stop < 3; ++stop) {
    const int64_t step = stop * 30 + 1 + static_cast<int64_t>(random() % 25);
    SCOPED_TRACE("paused after step " + std::to_string(step));
    AwaitStep("paused", step);
    ASSERT_TRUE(cluster_->Pause("paused").ok());
    const auto paused = cluster_->Await(
        "paused", [](const v1::Job& job) { return job.state() == v1::Job::PAUSED || Ended(job); },
        kJobTimeout);
    ASSERT_TRUE(paused.ok()) << paused.status();
    if (Ended(*paused)) {
      break;
    }
    EXPECT_TRUE(cluster_->Trainers().empty());
    ASSERT_TRUE(cluster_->Resume("paused").ok());
  }
  const v1::Job job = ExpectUndisturbedResult("paused");
  EXPECT_GT(job.attempts_size(), 1);
  EXPECT_EQ(job.attempts(0).cause(), v1::CAUSE_STOPPED);
}

TEST_F(LifeOfAJobTest, CancelLeavesNoProcess) {
  SubmitJob("cancelled");
  AwaitStep("cancelled", 1);
  ASSERT_TRUE(cluster_->Cancel("cancelled", /*now=*/true).ok());
  const auto job = cluster_->Await("cancelled", Ended, kJobTimeout);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::Job::CANCELLED);
  EXPECT_TRUE(cluster_->Trainers().empty());
}

TEST_F(LifeOfAJobTest, WorkerToldToGoSavesAndItsSuccessorGoesOn) {
  SubmitJob("moved");
  AwaitStep("moved", 30);
  cluster_->worker(0).Signal(SIGTERM);
  int status = 0;
  ASSERT_TRUE(cluster_->worker(0).Wait(absl::Minutes(1), &status));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(cluster_->Trainers().empty());
  const auto checkpoints = cluster_->Checkpoints("moved");
  ASSERT_TRUE(checkpoints.ok());
  ASSERT_FALSE(checkpoints->empty());
  EXPECT_GE(checkpoints->back().step(), 30);
  cluster_->StartWorker(0);
  const v1::Job job = ExpectUndisturbedResult("moved");
  EXPECT_EQ(job.attempts(0).cause(), v1::CAUSE_PREEMPTED);
  EXPECT_EQ(job.attempts(1).start_step(), checkpoints->back().step());
}

}  // namespace
}  // namespace cherry::integration
