#include "worker/parallel/buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <utility>

namespace cherry::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// Writes down which ranges were started.
class RecordingCollective final : public Collective {
 public:
  explicit RecordingCollective(const float* base) : base_(base) {}
  int rank() const override { return 0; }
  int world_size() const override { return 2; }
  absl::Status AllReduceSum(absl::Span<float>) override { return absl::OkStatus(); }
  absl::Status AllReduceSum(absl::Span<double>) override { return absl::OkStatus(); }
  absl::Status Broadcast(absl::Span<char>, int) override { return absl::OkStatus(); }
  absl::Status Barrier() override { return absl::OkStatus(); }
  void Start(absl::Span<float> values) override {
    started.emplace_back(values.data() - base_, values.size());
  }
  absl::Status Wait() override { return absl::OkStatus(); }

  std::vector<std::pair<int64_t, size_t>> started;

 private:
  const float* base_;
};

class BucketsTest : public ::testing::Test {
 protected:
  std::vector<float> gradients_ = std::vector<float>(100);
  RecordingCollective collective_{gradients_.data()};
  // Parameters of 10, 30, 40 and 20 elements: buckets {3, 2}, {1, 0} of 60 and 40.
  GradientBuckets buckets_{absl::MakeSpan(gradients_), {0, 10, 40, 80}, &collective_, 35};
};

TEST_F(BucketsTest, CoversTheWholeGradientFromItsEnd) {
  EXPECT_EQ(buckets_.size(), 2u);
  buckets_.Arm();
  ASSERT_TRUE(buckets_.Finish().ok());
  EXPECT_THAT(collective_.started, ElementsAre(Pair(40, 60), Pair(0, 40)));
}

TEST_F(BucketsTest, ABucketLeavesAsSoonAsItIsComplete) {
  buckets_.Arm();
  buckets_.Ready(3);
  EXPECT_TRUE(collective_.started.empty());
  buckets_.Ready(2);
  EXPECT_THAT(collective_.started, ElementsAre(Pair(40, 60)));
}

TEST_F(BucketsTest, TheOrderIsTheSameWhateverCompletesFirst) {
  buckets_.Arm();
  for (const size_t index : {0, 1, 3}) {
    buckets_.Ready(index);
  }
  EXPECT_TRUE(collective_.started.empty());
  buckets_.Ready(2);
  EXPECT_THAT(collective_.started, ElementsAre(Pair(40, 60), Pair(0, 40)));
  ASSERT_TRUE(buckets_.Finish().ok());
  EXPECT_EQ(collective_.started.size(), 2u);
}

TEST_F(BucketsTest, EarlierMicroBatchesSendNothing) {
  for (const size_t index : {3, 2, 1, 0}) {
    buckets_.Ready(index);
  }
  EXPECT_TRUE(collective_.started.empty());
}

TEST_F(BucketsTest, EveryStepSendsAgain) {
  for (int step = 0; step < 3; ++step) {
    buckets_.Arm();
    for (const size_t index : {3, 2, 1, 0}) {
      buckets_.Ready(index);
    }
    ASSERT_TRUE(buckets_.Finish().ok());
  }
  EXPECT_EQ(collective_.started.size(), 6u);
}

}  // namespace
}  // namespace cherry::trainer
