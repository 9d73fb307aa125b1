// Status, ids, files, hashes and frames.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <thread>

#include "cherry/v1/trainer.pb.h"
#include "common/file.h"
#include "common/frame.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_directory.h"

namespace cherry {
namespace {

TEST(StatusTest, CarriesReasonFieldAndRemedyThroughAnnotation) {
  const absl::Status status =
      Annotate(InvalidField("OUT_OF_RANGE", "train.steps", "train.steps: 0", "give 1"), "job.yaml");
  EXPECT_EQ(Describe(status), "job.yaml: train.steps: 0: give 1");
  EXPECT_EQ(InfoOf(status).reason(), "OUT_OF_RANGE");
  EXPECT_EQ(InfoOf(status).field(), "train.steps");
  EXPECT_EQ(InfoOf(absl::InternalError("x")).reason(), "");
}

TEST(IdsTest, UuidsAreVersionFourAndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = NewUuid();
    ASSERT_EQ(uuid.size(), 36u);
    ASSERT_EQ(uuid[14], '4');
    ASSERT_TRUE(seen.insert(uuid).second);
  }
}

TEST(IdsTest, NamesFollowDnsLabelRules) {
  EXPECT_TRUE(ValidateName("ko-base2", "name").ok());
  EXPECT_TRUE(ValidateName(std::string(63, 'a'), "name").ok());
  for (const std::string bad : {"", "Ko", "-a", "a-", "2a", "a_b", "a/b", "..", "가"}) {
    EXPECT_FALSE(ValidateName(bad, "name").ok()) << bad;
  }
  EXPECT_FALSE(ValidateName(std::string(64, 'a'), "name").ok());
}

TEST(IdsTest, ResourceNamesParseBack) {
  const auto name = ParseJobName("namespaces/default/jobs/ko-base");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->Resource(), "namespaces/default/jobs/ko-base");
  EXPECT_FALSE(ParseJobName("ko-base").ok());
  EXPECT_FALSE(ParseJobName("namespaces/default/jobs/..").ok());
}

TEST(FileTest, AtomicWriteReplacesAndLeavesNoTemporary) {
  TestDirectory temp;
  const std::string path = temp.path() + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two").ok());
  EXPECT_EQ(*ReadFile(path), "two");
  EXPECT_THAT(*ListDirectory(temp.path()), ::testing::ElementsAre("a"));
}

TEST(FileTest, ReadRefusesMoreThanItsBound) {
  TestDirectory temp;
  ASSERT_TRUE(WriteFileAtomically(temp.path() + "/a", "12345").ok());
  EXPECT_EQ(ReadFile(temp.path() + "/a", 4).status().code(), absl::StatusCode::kOutOfRange);
}

TEST(FileTest, PathsThatLeaveTheRootAreRefused) {
  TestDirectory temp;
  ASSERT_TRUE(MakeDirectories(temp.path() + "/top/inside").ok());
  ASSERT_TRUE(WriteFileAtomically(temp.path() + "/secret", "x").ok());
  ASSERT_EQ(symlink("../secret", (temp.path() + "/top/link").c_str()), 0);
  const std::string root = temp.path() + "/top";
  EXPECT_TRUE(ResolveBeneath(root, "inside", "path").ok());
  for (const std::string bad : {"../secret", "inside/../../secret", "/etc/passwd", "link"}) {
    EXPECT_EQ(InfoOf(ResolveBeneath(root, bad, "path").status()).reason(), "PATH_LEAVES_ROOT") << bad;
  }
}

TEST(FileTest, RemoveTreeDoesNotFollowLinks) {
  TestDirectory temp;
  ASSERT_TRUE(MakeDirectories(temp.path() + "/keep").ok());
  ASSERT_TRUE(WriteFileAtomically(temp.path() + "/keep/file", "x").ok());
  ASSERT_TRUE(MakeDirectories(temp.path() + "/gone").ok());
  ASSERT_EQ(symlink("../keep", (temp.path() + "/gone/link").c_str()), 0);
  ASSERT_TRUE(RemoveTree(temp.path() + "/gone").ok());
  EXPECT_FALSE(Exists(temp.path() + "/gone"));
  EXPECT_TRUE(Exists(temp.path() + "/keep/file"));
}

// The empty string's XXH3-128, from the algorithm's published test vectors.
TEST(HashTest, MatchesThePublishedVector) { EXPECT_EQ(HashBytes(""), "99aa06d3014798d86001c324468d497f"); }

TEST(HashTest, FileAndPiecesEqualTheWhole) {
  TestDirectory temp;
  const std::string bytes(3'000'000, 'x');
  ASSERT_TRUE(WriteFileAtomically(temp.path() + "/a", bytes).ok());
  Hasher hasher;
  hasher.Update(bytes.data(), 1000);
  hasher.Update(bytes.data() + 1000, bytes.size() - 1000);
  EXPECT_EQ(hasher.Hex(), HashBytes(bytes));
  EXPECT_EQ(*HashFile(temp.path() + "/a"), HashBytes(bytes));
}

v1::FromTrainer Finished(int64_t step) {
  v1::FromTrainer message;
  message.mutable_finished()->set_last_step(step);
  message.mutable_finished()->set_message(std::string(200'000, 'm'));
  return message;
}

class FrameTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_), 0); }
  void TearDown() override {
    for (const int fd : fds_) {
      if (fd >= 0) close(fd);
    }
  }
  int fds_[2] = {-1, -1};
};

TEST_F(FrameTest, MessagesArriveWholeAndInOrder) {
  std::thread writer([this] {
    for (int step = 0; step < 20; ++step) {
      EXPECT_TRUE(WriteFrame(fds_[0], Finished(step)).ok());
    }
    close(fds_[0]);
    fds_[0] = -1;
  });
  v1::FromTrainer message;
  for (int step = 0; step < 20; ++step) {
    ASSERT_TRUE(ReadFrame(fds_[1], &message).ok());
    EXPECT_EQ(message.finished().last_step(), step);
  }
  EXPECT_EQ(ReadFrame(fds_[1], &message).code(), absl::StatusCode::kOutOfRange);
  writer.join();
}

TEST_F(FrameTest, EndWithinAFrameIsDataLoss) {
  ASSERT_EQ(write(fds_[0], "\x10\x00\x00\x00half", 8), 8);
  close(fds_[0]);
  fds_[0] = -1;
  v1::FromTrainer message;
  EXPECT_EQ(ReadFrame(fds_[1], &message).code(), absl::StatusCode::kDataLoss);
}

TEST_F(FrameTest, OverlongLengthIsRefusedBeforeAllocating) {
  ASSERT_EQ(write(fds_[0], "\xff\xff\xff\xff", 4), 4);
  v1::FromTrainer message;
  EXPECT_EQ(ReadFrame(fds_[1], &message).code(), absl::StatusCode::kDataLoss);
}

TEST_F(FrameTest, WriterLearnsThatTheReaderHasGone) {
  close(fds_[1]);
  fds_[1] = -1;
  EXPECT_EQ(WriteFrame(fds_[0], Finished(1)).code(), absl::StatusCode::kUnavailable);
}

TEST(FrameParserTest, TakesFramesFromSingleBytes) {
  const std::string bytes = *EncodeFrame(Finished(7)) + *EncodeFrame(Finished(8));
  FrameParser parser;
  v1::FromTrainer message;
  std::vector<int64_t> steps;
  for (const char byte : bytes) {
    parser.Append(absl::string_view(&byte, 1));
    const auto next = parser.Next(&message);
    ASSERT_TRUE(next.ok());
    if (*next) {
      steps.push_back(message.finished().last_step());
    }
  }
  EXPECT_THAT(steps, ::testing::ElementsAre(7, 8));
}

}  // namespace
}  // namespace cherry
