#include "worker/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <numeric>

#include "common/file.h"
#include "common/hash.h"
#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DatasetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeDirectories(root_ + "/ko").ok());
    prefix_ = root_ + "/ko/train";
    auto writer = TokenFileWriter::Create(prefix_, 2);
    ASSERT_TRUE(writer.ok());
    // Two documents: tokens 0..20.
    std::vector<int32_t> tokens(21);
    std::iota(tokens.begin(), tokens.end(), 0);
    ASSERT_TRUE((*writer)->Add(absl::MakeConstSpan(tokens).subspan(0, 9)).ok());
    ASSERT_TRUE((*writer)->Add(absl::MakeConstSpan(tokens).subspan(9)).ok());
    ASSERT_TRUE((*writer)->Finish().ok());
    dataset_.set_name("ko");
    dataset_.set_path("ko");
    v1::Split* split = dataset_.add_splits();
    split->set_name("train");
    split->set_tokens(21);
    split->set_bin_bytes(42);
    split->set_bin_hash(HashFile(prefix_ + ".bin").value());
    split->set_idx_hash(HashFile(prefix_ + ".idx").value());
  }

  absl::StatusOr<std::unique_ptr<TokenWindows>> Open(int64_t length,
                                                     const std::string& reference = "ko/train") {
    return TokenWindows::Open(root_, dataset_, reference, "data.train", length);
  }

  const TestDirectory own_;
  const std::string root_ = own_.path();
  std::string prefix_;
  v1::Dataset dataset_;
};

TEST_F(DatasetTest, WindowsShareOneTokenAndLeaveTheRest) {
  const auto windows = Open(5);
  ASSERT_TRUE(windows.ok()) << windows.status();
  EXPECT_EQ((*windows)->size(), 4);
  std::vector<int64_t> tokens(6);
  (*windows)->Read(0, absl::MakeSpan(tokens));
  EXPECT_THAT(tokens, ElementsAre(0, 1, 2, 3, 4, 5));
  (*windows)->Read(1, absl::MakeSpan(tokens));
  EXPECT_THAT(tokens, ElementsAre(5, 6, 7, 8, 9, 10));
  (*windows)->Read(3, absl::MakeSpan(tokens));
  EXPECT_THAT(tokens, ElementsAre(15, 16, 17, 18, 19, 20));
  EXPECT_EQ(Open(20).value()->size(), 1);
}

TEST_F(DatasetTest, HashesAreThoseOfTheRegistration) {
  EXPECT_TRUE(Open(5).value()->CheckHashes().ok());
  dataset_.mutable_splits(0)->set_idx_hash("00");
  const absl::Status status = Open(5).value()->CheckHashes();
  EXPECT_EQ(InfoOf(status).reason(), "DATASET_CHANGED");
  EXPECT_THAT(std::string(status.message()), HasSubstr("train.idx has changed"));
}

TEST_F(DatasetTest, ATruncatedFileIsRefusedNamingFileAndRemedy) {
  ASSERT_EQ(truncate((prefix_ + ".bin").c_str(), 40), 0);
  const absl::Status status = Open(5).status();
  EXPECT_EQ(InfoOf(status).reason(), "DATASET_CHANGED");
  EXPECT_EQ(InfoOf(status).field(), "data.train");
  EXPECT_THAT(std::string(status.message()), HasSubstr("train.bin has 40 bytes, not the registered 42"));
  EXPECT_THAT(InfoOf(status).remedy(), HasSubstr("prepare"));
}

TEST_F(DatasetTest, AMissingFileIsRefused) {
  ASSERT_EQ(unlink((prefix_ + ".idx").c_str()), 0);
  EXPECT_EQ(InfoOf(Open(5).status()).reason(), "DATASET_CHANGED");
  ASSERT_EQ(unlink((prefix_ + ".bin").c_str()), 0);
  EXPECT_EQ(InfoOf(Open(5).status()).reason(), "DATASET_CHANGED");
}

TEST_F(DatasetTest, ASplitThatIsNotThereIsRefused) {
  EXPECT_EQ(InfoOf(Open(5, "ko/test").status()).reason(), "SPLIT_NOT_FOUND");
}

TEST_F(DatasetTest, TooFewTokensForOneWindowAreRefused) {
  const absl::Status status = Open(21).status();
  EXPECT_EQ(InfoOf(status).reason(), "DATASET_TOO_SMALL");
  EXPECT_THAT(std::string(status.message()), HasSubstr("fewer than the 22"));
}

TEST_F(DatasetTest, APathThatLeavesTheRootIsRefused) {
  dataset_.set_path("../ko");
  EXPECT_FALSE(Open(5).ok());
}

}  // namespace
}  // namespace cherry::trainer
