#include "worker/data/permutation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace cherry::trainer {
namespace {

TEST(PermutationTest, IsOneToOneForAnySize) {
  for (const uint64_t n : {1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 1000, 4097}) {
    const Permutation order(n, n * 7);
    std::vector<bool> seen(n, false);
    for (uint64_t i = 0; i < n; ++i) {
      const uint64_t value = order.At(i);
      ASSERT_LT(value, n);
      ASSERT_FALSE(seen[value]) << n;
      seen[value] = true;
    }
  }
}

TEST(PermutationTest, WorksNearTheLargestSizes) {
  const uint64_t n = (uint64_t{1} << 62) + 12345;
  const Permutation order(n, 1);
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 1000; ++i) {
    const uint64_t value = order.At(n - 1 - i);
    EXPECT_LT(value, n);
    EXPECT_TRUE(seen.insert(value).second);
  }
}

TEST(PermutationTest, LooksRandom) {
  constexpr int64_t kWindows = 1000;
  double moved = 0.0;
  int neighbours = 0;
  for (int64_t i = 0; i < kWindows; ++i) {
    moved += std::abs(static_cast<double>(WindowOfSample(i, kWindows, 1) - i)) / kWindows;
    neighbours += WindowOfSample(i + 1, kWindows, 1) == WindowOfSample(i, kWindows, 1) + 1 ? 1 : 0;
  }
  // A third of the range on average, and one neighbour kept.
  EXPECT_NEAR(moved / kWindows, 1.0 / 3.0, 0.03);
  EXPECT_LT(neighbours, 8);
}

TEST(WindowOfSampleTest, EachEpochTakesEveryWindowOnceInAnOrderOfItsOwn) {
  constexpr int64_t kWindows = 97;
  std::vector<std::vector<int64_t>> epochs;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> order;
    for (int64_t i = 0; i < kWindows; ++i) {
      order.push_back(WindowOfSample(epoch * kWindows + i, kWindows, 5));
    }
    EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), static_cast<size_t>(kWindows));
    epochs.push_back(order);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
}

TEST(WindowOfSampleTest, SeedsGiveDifferentOrders) {
  int equal = 0;
  for (int64_t i = 0; i < 500; ++i) {
    equal += WindowOfSample(i, 500, 1) == WindowOfSample(i, 500, 2) ? 1 : 0;
  }
  EXPECT_LT(equal, 8);
}

// A resumed run of another version must go on with the same data.
TEST(WindowOfSampleTest, TheOrderNeverChanges) {
  const std::vector<int64_t> expected = {237, 581, 272, 852, 259, 519, 18, 76, 639, 95, 749, 307};
  std::vector<int64_t> order;
  for (int64_t i = 0; i < 12; ++i) {
    order.push_back(WindowOfSample(i, 1000, 1));
  }
  EXPECT_EQ(order, expected);
}

}  // namespace
}  // namespace cherry::trainer
