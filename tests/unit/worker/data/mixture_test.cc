// Several splits as one run of windows.
#include "worker/data/mixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <numeric>
#include <set>

#include "common/file.h"
#include "tests/test_directory.h"
#include "worker/data/permutation.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

class SplitMixtureTest : public ::testing::Test {
 protected:
  SplitMixtureTest() { attempt_.mutable_spec()->mutable_train()->set_sequence_length(5); }

  // Tokens first, first + 1, ...
  void AddDataset(const std::string& name, int32_t first, int count) {
    ASSERT_TRUE(MakeDirectories(root_ + "/" + name).ok());
    auto writer = TokenFileWriter::Create(root_ + "/" + name + "/train", 2);
    ASSERT_TRUE(writer.ok());
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    std::iota(tokens.begin(), tokens.end(), first);
    ASSERT_TRUE((*writer)->Add(tokens).ok());
    ASSERT_TRUE((*writer)->Finish().ok());
    v1::Dataset* const dataset = attempt_.add_datasets();
    dataset->set_name(name);
    dataset->set_path(name);
    v1::Split* const split = dataset->add_splits();
    split->set_name("train");
    split->set_tokens(count);
  }

  const TestDirectory own_;
  const std::string root_ = own_.path();
  v1::StartAttempt attempt_;
};

TEST_F(SplitMixtureTest, PartsTakeTurnsEachInItsOwnOrder) {
  AddDataset("ko", 0, 21);     // 4 windows
  AddDataset("en", 1000, 51);  // 10 windows
  const auto mixture = SplitMixture::Open(root_, attempt_, "ko/train + en/train", "data.train");
  ASSERT_TRUE(mixture.ok()) << mixture.status();
  EXPECT_EQ((*mixture)->parts(), 2u);
  EXPECT_EQ((*mixture)->size(), 14);
  EXPECT_EQ((*mixture)->first_window(1), 4);
  std::map<size_t, int> taken;
  for (int64_t sample = 0; sample < 80; ++sample) {
    const int64_t window = (*mixture)->WindowOfSample(sample, 7);
    const size_t part = (*mixture)->PartOf(window);
    EXPECT_EQ(part, static_cast<size_t>(sample % 2));
    ++taken[part];
    std::vector<int64_t> tokens(6);
    (*mixture)->Read(window, absl::MakeSpan(tokens));
    EXPECT_EQ(tokens[0] >= 1000, part == 1);
    EXPECT_EQ(tokens[5], tokens[0] + 5);
  }
  EXPECT_EQ(taken[0], taken[1]);
  // Every epoch of a part takes each of its windows once.
  std::set<int64_t> first_epoch;
  for (int64_t sample = 1; sample < 20; sample += 2) {
    first_epoch.insert((*mixture)->WindowOfSample(sample, 7));
  }
  EXPECT_EQ(first_epoch.size(), 10u);
}

TEST_F(SplitMixtureTest, SharesHoldInEveryStretchAndEachPartGoesThroughAllItsWindows) {
  AddDataset("ko", 0, 51);       // 10 windows
  AddDataset("en", 1000, 36);    // 7 windows
  AddDataset("code", 2000, 16);  // 3 windows
  const auto mixture =
      SplitMixture::Open(root_, attempt_, "0.5 ko/train + 0.375 en/train + 0.125 code/train", "data.train");
  ASSERT_TRUE(mixture.ok()) << mixture.status();
  std::map<size_t, int64_t> taken;
  std::map<size_t, std::set<int64_t>> windows;
  for (int64_t sample = 0; sample < 4000; ++sample) {
    const int64_t window = (*mixture)->WindowOfSample(sample, 7);
    const size_t part = (*mixture)->PartOf(window);
    ++taken[part];
    windows[part].insert(window);
    // Never more than a turn from its share.
    for (const auto& [index, share] : std::map<size_t, double>{{0, 0.5}, {1, 0.375}, {2, 0.125}}) {
      EXPECT_NEAR(static_cast<double>(taken[index]), share * static_cast<double>(sample + 1), 1.0);
    }
  }
  EXPECT_EQ(windows[0].size() + windows[1].size() + windows[2].size(), 20u);
  // The order is a function of the sample's number alone.
  const auto again =
      SplitMixture::Open(root_, attempt_, "4 ko/train + 3 en/train + code/train", "data.train");
  for (int64_t sample = 3999; sample >= 0; sample -= 7) {
    EXPECT_EQ((*again)->WindowOfSample(sample, 7), (*mixture)->WindowOfSample(sample, 7));
  }
}

TEST_F(SplitMixtureTest, ASinglePartIsThatSplit) {
  AddDataset("ko", 0, 51);
  const auto mixture = SplitMixture::Open(root_, attempt_, "ko/train", "data.train");
  ASSERT_TRUE(mixture.ok()) << mixture.status();
  for (int64_t sample = 0; sample < 30; ++sample) {
    EXPECT_EQ((*mixture)->WindowOfSample(sample, 3), WindowOfSample(sample, 10, 3));
  }
}

TEST_F(SplitMixtureTest, NamesThePartThatIsNotThere) {
  AddDataset("ko", 0, 51);
  ASSERT_EQ(std::remove((root_ + "/ko/train.bin").c_str()), 0);
  const auto mixture = SplitMixture::Open(root_, attempt_, "ko/train", "data.train");
  EXPECT_THAT(std::string(mixture.status().message()), HasSubstr("data.train: "));
  EXPECT_THAT(std::string(mixture.status().message()), HasSubstr("train.bin"));
}

}  // namespace
}  // namespace cherry::trainer
