#include "worker/methods/sgt/selector.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/token_labels.h"
#include "worker/kernels/cross_entropy.h"

namespace cherry::trainer {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> Numbers(const at::Tensor& tensor) {
  const at::Tensor longs = tensor.to(at::kLong).contiguous();
  return {longs.const_data_ptr<int64_t>(), longs.const_data_ptr<int64_t>() + longs.numel()};
}

Batch MakeBatch(int64_t sequences, int64_t length, std::vector<uint8_t> counted = {},
                std::vector<uint8_t> labels = {}) {
  Batch batch;
  batch.tokens = at::zeros({sequences, length}, at::kLong);
  batch.targets = at::arange(sequences * length, at::kLong).view({sequences, length}).clone();
  batch.counted =
      counted.empty() ? std::vector<uint8_t>(static_cast<size_t>(sequences * length), 1) : counted;
  for (size_t i = 0; i < batch.counted.size(); ++i) {
    if (batch.counted[i] == 0) {
      batch.targets.mutable_data_ptr<int64_t>()[i] = kIgnoredTarget;
    }
  }
  batch.labels = labels;
  for (int64_t i = 0; i < sequences; ++i) {
    batch.samples.push_back(100 + i);
  }
  return batch;
}

v1::SgtConfig Config(v1::SgtConfig::Selector selector, double budget) {
  v1::SgtConfig sgt;
  sgt.set_selector(selector);
  sgt.set_budget(budget);
  sgt.add_categories(v1::SgtConfig::FACT);
  sgt.add_categories(v1::SgtConfig::REASON);
  sgt.add_categories(v1::SgtConfig::CORRECT);
  return sgt;
}

at::Tensor Scores(const std::vector<float>& values) { return at::tensor(values); }

TEST(SelectorTest, TakesTheHighestScoresOfEachSequence) {
  const Selector selector(Config(v1::SgtConfig::TOP_LOSS, 0.5), 1);
  const Batch batch = MakeBatch(2, 4);
  const at::Tensor mask = selector.Select(batch, Scores({1, 4, 3, 2, 9, 8, 7, 6}));
  EXPECT_THAT(Numbers(mask), ElementsAre(0, 1, 1, 0, 1, 1, 0, 0));
  const TargetCounts counts = selector.Count(batch);
  EXPECT_EQ(counts.supervised, 4);
  EXPECT_EQ(counts.others, 4);
}

TEST(SelectorTest, RanksOverTheMicroBatchWhenAskedTo) {
  v1::SgtConfig sgt = Config(v1::SgtConfig::TOP_LOSS, 0.5);
  sgt.set_scope(v1::SgtConfig::MICRO_BATCH);
  const Selector selector(sgt, 1);
  EXPECT_THAT(Numbers(selector.Select(MakeBatch(2, 4), Scores({1, 4, 3, 2, 9, 8, 7, 6}))),
              ElementsAre(0, 0, 0, 0, 1, 1, 1, 1));
}

TEST(SelectorTest, OfEqualScoresTheFirstWins) {
  const Selector selector(Config(v1::SgtConfig::ENTROPY, 0.5), 1);
  EXPECT_THAT(Numbers(selector.Select(MakeBatch(1, 4), Scores({2, 2, 2, 2}))), ElementsAre(1, 1, 0, 0));
}

TEST(SelectorTest, ABudgetIsAShareOfTheTargetsThatCount) {
  const Selector selector(Config(v1::SgtConfig::LOW_LOSS, 0.5), 1);
  const Batch batch = MakeBatch(2, 4, {0, 1, 1, 0, 0, 0, 0, 1});
  const at::Tensor mask = selector.Select(batch, Scores({9, 1, 2, 9, 9, 9, 9, 0}));
  EXPECT_THAT(Numbers(mask), ElementsAre(0, 0, 1, 0, 0, 0, 0, 1));
  EXPECT_EQ(selector.Count(batch).supervised, 2);
  EXPECT_EQ(selector.Count(batch).others, 1);
}

TEST(SelectorTest, RowsAreSortedAndPaddedToTheSizeOfAFullBudget) {
  const Selector selector(Config(v1::SgtConfig::LOW_LOSS, 0.5), 1);
  const Batch batch = MakeBatch(2, 4, {0, 1, 1, 0, 0, 0, 0, 1});
  const Rows rows = selector.Gather(batch, selector.Select(batch, Scores({9, 1, 2, 9, 9, 9, 9, 0})));
  EXPECT_EQ(rows.index.numel(), 4);
  EXPECT_THAT(Numbers(rows.index.narrow(0, 0, 2)), ElementsAre(2, 7));
  EXPECT_THAT(Numbers(rows.targets), ElementsAre(2, 7, kIgnoredTarget, kIgnoredTarget));
}

TEST(SelectorTest, AllSupervisesEveryTarget) {
  v1::SgtConfig sgt = Config(v1::SgtConfig::ALL, 1.0);
  const Selector selector(sgt, 1);
  const Batch batch = MakeBatch(1, 4, {1, 0, 1, 1});
  EXPECT_THAT(Numbers(selector.Select(batch, at::Tensor())), ElementsAre(1, 0, 1, 1));
  EXPECT_EQ(selector.Count(batch).others, 0);
}

TEST(SelectorTest, RandomIsTheSameForASampleWhereverItStands) {
  const Selector selector(Config(v1::SgtConfig::RANDOM, 0.25), 3);
  Batch both = MakeBatch(2, 16);
  Batch second = MakeBatch(1, 16);
  second.samples = {101};
  const at::Tensor mask = selector.Select(both, at::Tensor());
  EXPECT_TRUE(at::equal(mask.narrow(0, 16, 16), selector.Select(second, at::Tensor())));
  EXPECT_EQ(mask.sum().item<int64_t>(), 8);
  EXPECT_FALSE(at::equal(mask.narrow(0, 0, 16), mask.narrow(0, 16, 16)));
}

TEST(SelectorTest, RuleFillsItsRandomShareFromTheRest) {
  v1::SgtConfig sgt = Config(v1::SgtConfig::RULE, 0.5);
  sgt.set_random_share(0.5);
  const Selector selector(sgt, 1);
  const uint8_t first = 1 | kSpanStart;
  const Batch batch = MakeBatch(1, 8, {}, {0, first, 1, 0, 0, first, 0, 0});
  const at::Tensor mask = selector.Select(batch, at::Tensor());
  EXPECT_EQ(mask.sum().item<int64_t>(), 4);
  EXPECT_TRUE(mask[1].item<bool>() && mask[2].item<bool>());
  EXPECT_EQ(selector.Count(batch).supervised, 4);
}

TEST(SelectorTest, ScoredSelectorsFillTheirRandomShareFromTheRest) {
  v1::SgtConfig sgt = Config(v1::SgtConfig::TOP_LOSS, 0.5);
  sgt.set_random_share(0.5);
  const Selector selector(sgt, 1);
  const at::Tensor mask = selector.Select(MakeBatch(1, 8), Scores({0, 0, 0, 9, 8, 0, 0, 0}));
  EXPECT_EQ(mask.sum().item<int64_t>(), 4);
  EXPECT_TRUE(mask[3].item<bool>() && mask[4].item<bool>());
}

TEST(SelectorTest, SuperTakesOneLabelledTokenOfEachSequence) {
  const Selector selector(Config(v1::SgtConfig::SUPER, 0.5), 1);
  const uint8_t first = 2 | kSpanStart;
  const Batch batch = MakeBatch(2, 4, {}, {first, 0, first, 0, 0, 0, 0, 0});
  const at::Tensor mask = selector.Select(batch, Scores({1, 9, 2, 9, 9, 9, 9, 9}));
  EXPECT_THAT(Numbers(mask), ElementsAre(0, 0, 1, 0, 0, 0, 0, 0));
  EXPECT_EQ(selector.Count(batch).supervised, 1);
  EXPECT_EQ(selector.Gather(batch, mask).index.numel(), 2);
}

TEST(SelectorTest, TheSplitThatCouplingIsMeasuredAgainstIsAnotherDraw) {
  const Selector selector(Config(v1::SgtConfig::RANDOM, 0.25), 3);
  const Batch batch = MakeBatch(1, 64);
  const at::Tensor split = selector.SelectRandom(batch);
  EXPECT_EQ(split.sum().item<int64_t>(), 16);
  EXPECT_FALSE(at::equal(split, selector.Select(batch, at::Tensor())));
}

}  // namespace
}  // namespace cherry::trainer
