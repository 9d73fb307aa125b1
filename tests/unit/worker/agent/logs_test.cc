#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "common/file.h"
#include "tests/test_directory.h"
#include "worker/agent/log_store.h"
#include "worker/agent/rank_log.h"

namespace cherry::worker {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class LogsTest : public ::testing::Test {
 protected:
  v1::LogAck AckOf(const v1::LogChunk& chunk, int64_t offset) {
    v1::LogAck ack;
    *ack.mutable_attempt() = chunk.attempt();
    ack.set_rank(chunk.rank());
    ack.set_offset(offset);
    return ack;
  }

  const TestDirectory own_;
  const std::string directory_ = own_.path();
  const RankKey key_ = {{"uid", 3}, 1};
};

TEST_F(LogsTest, KeepsTheHeadAndTheEndOfALogBeyondItsBound) {
  const int64_t bound = RankLog::kTailBytes + 1000;
  auto log = RankLog::Open(directory_ + "/x.log", bound);
  ASSERT_TRUE(log.ok());
  (*log)->Append("first line\n");
  for (int i = 0; i < 20000; ++i) {
    (*log)->Append("line " + std::to_string(i) + "\n");
  }
  (*log)->Append("last line\n");
  (*log)->Close();
  const auto text = (*log)->Read(0, 1 << 20);
  ASSERT_TRUE(text.ok());
  EXPECT_LE((*log)->size(), bound);
  EXPECT_THAT(*text, StartsWith("first line\nline 0\n"));
  EXPECT_THAT(*text, HasSubstr("bytes left out"));
  EXPECT_THAT(*text, EndsWith("line 19999\nlast line\n"));
}

TEST_F(LogsTest, LastErrorPrefersLinesThatTellOfOne) {
  auto log = RankLog::Open(directory_ + "/x.log");
  (*log)->Append("step 1\nerror: data ended\nbye");
  EXPECT_EQ((*log)->LastError(), "error: data ended");
  (*log)->Append("\nterminate called after throwing");
  EXPECT_EQ((*log)->LastError(), "terminate called after throwing");
}

TEST_F(LogsTest, SendsByOffsetAndRemovesWhatIsKept) {
  int woken = 0;
  LogStore store(directory_, [&woken] { ++woken; });
  auto log = store.Open(key_);
  ASSERT_TRUE(log.ok());
  (*log)->Append("hello");
  store.Touched(key_);
  EXPECT_EQ(woken, 1);
  auto chunk = store.Next();
  ASSERT_TRUE(chunk.has_value());
  EXPECT_EQ(chunk->offset(), 0);
  EXPECT_EQ(chunk->data(), "hello");
  EXPECT_EQ(chunk->attempt().epoch(), 3);
  EXPECT_FALSE(store.Next().has_value());  // One under way at a time.
  (*log)->Append(" world");
  store.OnAck(AckOf(*chunk, 5));
  chunk = store.Next();
  EXPECT_EQ(chunk->offset(), 5);
  EXPECT_EQ(chunk->data(), " world");
  (*log)->Close();
  store.Touched(key_);
  EXPECT_FALSE(store.Drained());
  store.OnAck(AckOf(*chunk, 11));
  EXPECT_TRUE(store.Drained());
  EXPECT_FALSE(Exists((*log)->path()));
  EXPECT_FALSE(Exists(directory_ + "/uid"));
}

TEST_F(LogsTest, GoesBackToWhatTheCoordinatorHasLost) {
  LogStore store(directory_, [] {});
  auto log = store.Open(key_);
  (*log)->Append("hello world");
  auto chunk = store.Next();
  store.OnAck(AckOf(*chunk, 4));
  store.Restart();
  EXPECT_EQ(store.Next()->offset(), 4);
}

TEST_F(LogsTest, ReconnectSendsWhatWasUnderWayAgain) {
  LogStore store(directory_, [] {});
  auto log = store.Open(key_);
  (*log)->Append("hello");
  EXPECT_TRUE(store.Next().has_value());
  store.Restart();
  EXPECT_EQ(store.Next()->data(), "hello");
}

TEST_F(LogsTest, StopsWhereTheCoordinatorTakesNoMore) {
  LogStore store(directory_, [] {});
  auto log = store.Open(key_);
  (*log)->Append("hello");
  store.OnAck(AckOf(*store.Next(), 0));
  EXPECT_FALSE(store.Next().has_value());
  (*log)->Close();
  store.Touched(key_);
  EXPECT_TRUE(store.Drained());
}

TEST_F(LogsTest, LogsOfAFormerProcessAreSentToo) {
  {
    LogStore store(directory_, [] {});
    auto log = store.Open(key_);
    (*log)->Append("left over");
  }
  LogStore store(directory_, [] {});
  ASSERT_TRUE(store.AdoptLeftOvers().ok());
  const auto chunk = store.Next();
  ASSERT_TRUE(chunk.has_value());
  EXPECT_EQ(chunk->data(), "left over");
  EXPECT_EQ(chunk->rank(), 1);
  store.Drop(key_.attempt);
  EXPECT_TRUE(store.Drained());
  EXPECT_FALSE(Exists(directory_ + "/uid"));
}

}  // namespace
}  // namespace cherry::worker
