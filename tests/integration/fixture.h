// One cluster for all tests of a suite, and the result of a run that nobody disturbed.
#ifndef CHERRY_TESTS_INTEGRATION_FIXTURE_H_
#define CHERRY_TESTS_INTEGRATION_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "cluster.h"

namespace cherry::integration {

constexpr int kRanks = 2;
constexpr int kSteps = 120;
// Generous: the machine may be busy with other things.
constexpr absl::Duration kJobTimeout = absl::Minutes(5);

struct Result {
  double loss = 0;
  double valid_loss = 0;
  std::map<std::string, std::string> shards;  // Of the last checkpoint.
};

class ClusterTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void TearDown() override;

  // A job of the size of the undisturbed one.
  v1::JobSpec Job(const std::string& name) const { return cluster_->SmallJob(name, kRanks, kSteps); }
  void SubmitJob(const std::string& name);
  // Waits until the job runs, and has done this many steps.
  v1::Job AwaitStep(const std::string& name, int64_t step);
  // Waits for its success, and compares loss and shards, bit by bit, with the undisturbed run's.
  v1::Job ExpectUndisturbedResult(const std::string& name);

  static std::unique_ptr<Cluster> cluster_;
  static Result undisturbed_;
};

}  // namespace cherry::integration

#endif  // CHERRY_TESTS_INTEGRATION_FIXTURE_H_
