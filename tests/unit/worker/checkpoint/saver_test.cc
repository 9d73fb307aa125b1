#include "worker/checkpoint/saver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/checkpoint/state_for_tests.h"

namespace cherry::trainer {
namespace {

using ::testing::ElementsAre;

using SaverTest = CheckpointDirectoryTest;

TEST_F(SaverTest, SavesOneAfterTheOther) {
  std::vector<int64_t> published;
  {
    Saver saver(MakeState(0.0f), [&](const SaveRequest& request, const SavedCheckpoint&) {
      published.push_back(request.manifest.step);
      return absl::OkStatus();
    });
    for (int64_t step = 1; step <= 3; ++step) {
      saver.AcquireState()->values.assign(32, static_cast<float>(step));
      saver.Start(Request(step));
    }
    EXPECT_TRUE(saver.Flush().ok());
  }
  EXPECT_THAT(published, ElementsAre(1, 2, 3));
  for (int64_t step = 1; step <= 3; ++step) {
    EXPECT_TRUE(VerifyCheckpoint(Directory(step)).ok());
  }
}

TEST_F(SaverTest, TheStateWaitsForTheSaveUnderWay) {
  absl::Mutex mutex;
  bool may_publish = false;
  bool acquired = false;
  Saver saver(MakeState(0.0f), [&](const SaveRequest&, const SavedCheckpoint&) {
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&may_publish));
    EXPECT_FALSE(acquired);
    return absl::OkStatus();
  });
  saver.AcquireState();
  saver.Start(Request(1));
  std::thread waiter([&] {
    saver.AcquireState();
    absl::MutexLock lock(&mutex);
    acquired = true;
  });
  {
    absl::MutexLock lock(&mutex);
    may_publish = true;
  }
  waiter.join();
  EXPECT_TRUE(acquired);
}

TEST_F(SaverTest, AfterAnErrorNothingMoreIsSaved) {
  int published = 0;
  Saver saver(MakeState(0.0f), [&](const SaveRequest&, const SavedCheckpoint&) {
    ++published;
    return absl::OkStatus();
  });
  SaveRequest bad = Request(1);
  bad.tokenizer = root_ + "/unreadable";
  ASSERT_TRUE(MakeDirectories(root_ + "/unreadable/tokenizer.json").ok());
  saver.AcquireState();
  saver.Start(bad);
  EXPECT_FALSE(saver.Flush().ok());
  saver.AcquireState();
  saver.Start(Request(2));
  EXPECT_FALSE(saver.Flush().ok());
  EXPECT_EQ(published, 0);
  EXPECT_FALSE(Exists(Directory(2)));
}

}  // namespace
}  // namespace cherry::trainer
