#include "fixture.h"

#include <cstdio>

namespace cherry::integration {
namespace {

Result ResultOf(Cluster* cluster, const v1::Job& job, const std::string& name) {
  Result result;
  result.loss = job.progress().loss();
  result.valid_loss = job.progress().valid_loss();
  const auto checkpoints = cluster->Checkpoints(name);
  EXPECT_TRUE(checkpoints.ok()) << checkpoints.status();
  if (!checkpoints.ok() || checkpoints->empty()) {
    ADD_FAILURE() << name << " has no checkpoint";
    return result;
  }
  EXPECT_EQ(checkpoints->back().step(), kSteps);
  const auto shards = cluster->Shards(checkpoints->back());
  EXPECT_TRUE(shards.ok()) << shards.status();
  if (shards.ok()) {
    result.shards = *shards;
  }
  return result;
}

}  // namespace

std::unique_ptr<Cluster> ClusterTest::cluster_;
Result ClusterTest::undisturbed_;

void ClusterTest::SetUpTestSuite() {
  auto cluster = Cluster::Start({.workers = 1, .slots = kRanks});
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  cluster_ = *std::move(cluster);
  const auto submitted = cluster_->Submit(cluster_->SmallJob("undisturbed", kRanks, kSteps));
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  const auto job = cluster_->Await("undisturbed", Ended, kJobTimeout);
  ASSERT_TRUE(job.ok()) << job.status() << cluster_->DaemonLogs();
  ASSERT_TRUE(Succeeded(*job)) << job->ShortDebugString() << cluster_->DaemonLogs();
  EXPECT_EQ(job->attempts_size(), 1);
  undisturbed_ = ResultOf(cluster_.get(), *job, "undisturbed");
}

void ClusterTest::TearDownTestSuite() { cluster_.reset(); }

void ClusterTest::TearDown() {
  if (HasFailure() && cluster_ != nullptr) {
    std::fprintf(stderr, "%s\n", cluster_->DaemonLogs().c_str());
  }
}

void ClusterTest::SubmitJob(const std::string& name) {
  const auto job = cluster_->Submit(Job(name));
  ASSERT_TRUE(job.ok()) << job.status();
}

v1::Job ClusterTest::AwaitStep(const std::string& name, int64_t step) {
  const auto job = cluster_->Await(
      name, [step](const v1::Job& job) { return job.progress().step() >= step || Ended(job); }, kJobTimeout);
  EXPECT_TRUE(job.ok()) << job.status();
  return job.value_or(v1::Job());
}

v1::Job ClusterTest::ExpectUndisturbedResult(const std::string& name) {
  const auto job = cluster_->Await(name, Ended, kJobTimeout);
  EXPECT_TRUE(job.ok()) << job.status();
  if (!job.ok()) {
    return v1::Job();
  }
  EXPECT_TRUE(Succeeded(*job)) << job->ShortDebugString();
  EXPECT_EQ(job->progress().step(), kSteps);
  const Result result = ResultOf(cluster_.get(), *job, name);
  EXPECT_EQ(result.loss, undisturbed_.loss);
  EXPECT_EQ(result.valid_loss, undisturbed_.valid_loss);
  EXPECT_FALSE(result.shards.empty());
  for (const auto& [file, bytes] : result.shards) {
    EXPECT_TRUE(bytes == undisturbed_.shards[file]) << file << " differs from the undisturbed run's";
  }
  return *job;
}

}  // namespace cherry::integration
