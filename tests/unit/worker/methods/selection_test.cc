#include "worker/methods/sgt/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "common/token_labels.h"

namespace cherry::trainer {
namespace {

using ::testing::ElementsAre;

constexpr uint8_t kFact = 1, kReason = 2, kCorrect = 3;
constexpr int kAllCategories = 0b1110;

uint8_t First(uint8_t category) { return category | kSpanStart; }

std::vector<uint8_t> Spans(const std::vector<uint8_t>& labels, int64_t most, int categories = kAllCategories,
                           std::vector<uint8_t> counted = {}) {
  if (counted.empty()) {
    counted.assign(labels.size(), 1);
  }
  std::vector<uint8_t> mask(labels.size(), 0);
  const int64_t marked = SelectSpans(labels, counted, categories, most, absl::MakeSpan(mask));
  EXPECT_EQ(marked, std::accumulate(mask.begin(), mask.end(), int64_t{0}));
  return mask;
}

TEST(SelectionTest, BudgetIsARoundedShareAndAtLeastOne) {
  EXPECT_EQ(BudgetOf(256, 0.15, 0.0).scored, 38);  // 38.4
  EXPECT_EQ(BudgetOf(10, 0.15, 0.0).scored, 2);    // 1.5 rounds away from zero
  EXPECT_EQ(BudgetOf(3, 0.01, 0.0).scored, 1);
  EXPECT_EQ(BudgetOf(0, 0.5, 0.0).scored, 0);
  EXPECT_EQ(BudgetOf(7, 1.0, 0.0).scored, 7);
}

TEST(SelectionTest, RandomShareIsPartOfTheBudgetNotBesideIt) {
  const GroupBudget budget = BudgetOf(100, 0.2, 0.25);
  EXPECT_EQ(budget.drawn, 5);
  EXPECT_EQ(budget.scored, 15);
  EXPECT_EQ(BudgetOf(100, 0.2, 1.0).scored, 0);
}

TEST(SelectionTest, DrawsDependOnSeedSampleAndPositionAlone) {
  EXPECT_EQ(DrawKey(1, 7, 3), DrawKey(1, 7, 3));
  EXPECT_NE(DrawKey(1, 7, 3), DrawKey(2, 7, 3));
  EXPECT_NE(DrawKey(1, 7, 3), DrawKey(1, 8, 3));
  EXPECT_NE(DrawKey(1, 7, 3), DrawKey(1, 7, 4));
  EXPECT_NE(DrawKey(1, 3, 7), DrawKey(1, 7, 3));
}

TEST(SelectionTest, EveryPositionIsDrawnAboutAsOften) {
  constexpr int kLength = 20, kDrawn = 3, kSamples = 20000;
  std::vector<int> times(kLength, 0);
  const std::vector<uint8_t> counted(kLength, 1);
  for (int sample = 0; sample < kSamples; ++sample) {
    std::vector<uint64_t> keys;
    for (int position = 0; position < kLength; ++position) {
      keys.push_back(DrawKey(1, sample, position));
    }
    std::vector<uint8_t> mask(kLength, 0);
    ASSERT_EQ(Draw(keys, counted, kDrawn, absl::MakeSpan(mask)), kDrawn);
    for (int position = 0; position < kLength; ++position) {
      times[static_cast<size_t>(position)] += mask[static_cast<size_t>(position)];
    }
  }
  constexpr double kExpected = kSamples * kDrawn / static_cast<double>(kLength);
  double chi_squared = 0.0;
  for (const int count : times) {
    chi_squared += (count - kExpected) * (count - kExpected) / kExpected;
  }
  EXPECT_LT(chi_squared, 43.8);  // 19 degrees of freedom, p = 0.001
}

TEST(SelectionTest, DrawsOnlyCountedPositionsThatAreLeft) {
  const std::vector<uint64_t> keys = {5, 1, 3, 2, 4};
  std::vector<uint8_t> mask = {0, 0, 1, 0, 0};
  EXPECT_EQ(Draw(keys, {1, 0, 1, 1, 1}, 2, absl::MakeSpan(mask)), 2);
  EXPECT_THAT(mask, ElementsAre(0, 0, 1, 1, 1));
  EXPECT_EQ(Draw(keys, {1, 0, 1, 1, 1}, 9, absl::MakeSpan(mask)), 1);
  EXPECT_THAT(mask, ElementsAre(1, 0, 1, 1, 1));
}

TEST(SelectionTest, CorrectionsComeBeforeReasonsBeforeFacts) {
  const std::vector<uint8_t> labels = {First(kFact), kFact, 0, First(kReason), 0, First(kCorrect), kCorrect};
  EXPECT_THAT(Spans(labels, 2), ElementsAre(0, 0, 0, 0, 0, 1, 1));
  EXPECT_THAT(Spans(labels, 3), ElementsAre(0, 0, 0, 1, 0, 1, 1));
  EXPECT_THAT(Spans(labels, 5), ElementsAre(1, 1, 0, 1, 0, 1, 1));
}

TEST(SelectionTest, SpansAreKeptWholeOrNotAtAll) {
  const std::vector<uint8_t> labels = {First(kFact), kFact, kFact, First(kFact), First(kFact), kFact};
  EXPECT_THAT(Spans(labels, 2),
              ElementsAre(0, 0, 0, 1, 0, 0));  // Three do not fit, one does, two more do not.
  EXPECT_THAT(Spans(labels, 3), ElementsAre(1, 1, 1, 0, 0, 0));
  EXPECT_THAT(Spans(labels, 4), ElementsAre(1, 1, 1, 1, 0, 0));
  EXPECT_THAT(Spans(labels, 6), ElementsAre(1, 1, 1, 1, 1, 1));
}

TEST(SelectionTest, LeavesABudgetUnfilledRatherThanTakeUnlabelledTokens) {
  EXPECT_THAT(Spans({0, First(kFact), 0, 0}, 3), ElementsAre(0, 1, 0, 0));
}

TEST(SelectionTest, TakesOnlyTheCategoriesAskedFor) {
  const std::vector<uint8_t> labels = {First(kFact), First(kReason), First(kCorrect)};
  EXPECT_THAT(Spans(labels, 3, 1 << kReason), ElementsAre(0, 1, 0));
  EXPECT_THAT(Spans(labels, 3, 1 << kFact | 1 << kCorrect), ElementsAre(1, 0, 1));
}

TEST(SelectionTest, ASpanEndsWhereTargetsDoNotCount) {
  const std::vector<uint8_t> labels = {First(kFact), kFact, kFact, kFact};
  EXPECT_THAT(Spans(labels, 1, kAllCategories, {1, 0, 1, 1}), ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(Spans(labels, 3, kAllCategories, {1, 0, 1, 1}), ElementsAre(1, 0, 1, 1));
}

TEST(SelectionTest, ASpanThatAWindowCutsOffCountsByWhatIsLeft) {
  EXPECT_THAT(Spans({kFact, kFact, 0, First(kFact)}, 3), ElementsAre(1, 1, 0, 1));
}

}  // namespace
}  // namespace cherry::trainer
