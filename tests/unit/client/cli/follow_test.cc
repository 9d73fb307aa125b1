// Waiting for a worker to be empty: `worker drain --wait`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/cli/app_fixture.h"

namespace cherry::client {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class DrainTest : public AppTest {
 protected:
  // The worker with these jobs on its slots; "" on a free one.
  static v1::Worker Worker(const std::vector<std::string>& jobs) {
    v1::Worker worker;
    worker.set_name("w0");
    worker.set_state(v1::Worker::DRAINING);
    for (const std::string& job : jobs) {
      worker.add_slots()->set_job(job.empty() ? "" : "namespaces/default/jobs/" + job);
    }
    return worker;
  }
  // The job as a watch shows it: with a rank on the worker, or reaped from it.
  static v1::WatchJobResponse On(const std::string& job, v1::RankPlacement::State state) {
    v1::WatchJobResponse message;
    message.mutable_job()->set_name("namespaces/default/jobs/" + job);
    v1::RankPlacement* const rank = message.mutable_job()->add_attempts()->add_ranks();
    rank->set_worker("w0");
    rank->set_state(state);
    return message;
  }
};

TEST_F(DrainTest, WaitsForTheJobsOnTheWorkerAndNotForEventsOfTheCluster) {
  cluster_.workers_by_and_by = {Worker({"a", "b", ""}), Worker({"", "b", ""}), Worker({"", "", ""})};
  cluster_.watches = {
      {{On("a", v1::RankPlacement::STARTED), On("a", v1::RankPlacement::EXITED)}, absl::OkStatus()},
      {{On("b", v1::RankPlacement::EXITED)}, absl::OkStatus()}};
  ASSERT_EQ(Run({"worker", "drain", "w0", "--wait"}), 0) << err_;
  EXPECT_THAT(out_, StartsWith("worker w0  DRAINING"));
  ASSERT_THAT(cluster_.watched, SizeIs(2));
  EXPECT_EQ(cluster_.watched[0].name(), "namespaces/default/jobs/a");
  EXPECT_EQ(cluster_.watched[0].after_step(), -1);
  EXPECT_EQ(cluster_.watched[1].name(), "namespaces/default/jobs/b");
  EXPECT_THAT(cluster_.events_watched, IsEmpty());
}

// The rank is reaped after the worker was read and before the watch begins.
TEST_F(DrainTest, WhatHappensBeforeTheWatchBeginsIsNotMissed) {
  cluster_.workers_by_and_by = {Worker({"a"}), Worker({""})};
  cluster_.watches = {{{On("a", v1::RankPlacement::EXITED)}, absl::CancelledError("nothing more comes")}};
  EXPECT_EQ(Run({"worker", "drain", "w0", "--wait"}), 0) << err_;
}

TEST_F(DrainTest, LivesThroughARestartOfTheCoordinator) {
  cluster_.workers_by_and_by = {Worker({"a"}), Worker({"a"}), Worker({"a"}), Worker({""})};
  cluster_.watches = {{{On("a", v1::RankPlacement::STARTED)}, absl::UnavailableError("gone")},
                      {{}, absl::UnavailableError("not yet there")},
                      {{On("a", v1::RankPlacement::EXITED)}, absl::OkStatus()}};
  EXPECT_EQ(Run({"worker", "drain", "w0", "--wait"}), 0) << err_;
  EXPECT_THAT(cluster_.watched, SizeIs(3));
}

TEST_F(DrainTest, AJobThatIsGoneHoldsNothing) {
  cluster_.workers_by_and_by = {Worker({"a"}), Worker({""})};
  cluster_.watches = {{{}, absl::NotFoundError("there is no such job")}};
  EXPECT_EQ(Run({"worker", "drain", "w0", "--wait"}), 0) << err_;
}

TEST_F(DrainTest, AnInterruptSaysWhatStays) {
  cluster_.workers_by_and_by = {Worker({"a"})};
  EXPECT_EQ(Run({"worker", "drain", "w0", "--wait"}), 7);
  EXPECT_THAT(err_, StartsWith("detached: worker w0 stays DRAINING"));
}

TEST_F(DrainTest, ATimeOutSaysWhatIsStillThere) {
  cluster_.workers_by_and_by = {Worker({"a"})};
  cluster_.watches = {{{}, absl::DeadlineExceededError("late")}};
  EXPECT_EQ(Run({"worker", "drain", "w0", "--wait", "--timeout", "5s"}), 6);
  EXPECT_THAT(err_, HasSubstr("worker w0 still holds job a after 5s"));
}

TEST_F(DrainTest, AWatchThatIsRefusedEndsWithItsError) {
  cluster_.workers_by_and_by = {Worker({"a"})};
  cluster_.watches = {{{}, absl::PermissionDeniedError("not yours")}};
  EXPECT_EQ(Run({"worker", "cordon", "w0", "--wait"}), 5);
}

}  // namespace
}  // namespace cherry::client
