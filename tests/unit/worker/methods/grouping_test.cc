#include "worker/methods/compress/grouping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cherry::trainer {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::Pair;

std::vector<int64_t> Sizes(const std::vector<LayerGroup>& groups) {
  std::vector<int64_t> sizes;
  for (const LayerGroup& group : groups) {
    sizes.push_back(group.size());
  }
  return sizes;
}

std::vector<int64_t> Single(const std::vector<Combination>& combinations) {
  std::vector<int64_t> layers;
  for (const Combination& combination : combinations) {
    EXPECT_EQ(combination.size(), 1u);
    layers.push_back(combination.front().first);
  }
  return layers;
}

TEST(GroupingTest, GroupsAreContiguousAndOfEqualSizes) {
  EXPECT_THAT(Sizes(GroupLayers(48, 6, false)), ElementsAre(8, 8, 8, 8, 8, 8));
  EXPECT_THAT(Sizes(GroupLayers(8, 8, false)), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1));
  const std::vector<LayerGroup> groups = GroupLayers(7, 3, false);
  EXPECT_THAT(Sizes(groups), ElementsAre(2, 3, 2));
  EXPECT_EQ(groups[1].begin, 2);
}

TEST(GroupingTest, KeptEndsLeaveTheMiddleToBeMerged) {
  EXPECT_THAT(Sizes(GroupLayers(48, 6, true)), ElementsAre(1, 11, 12, 12, 11, 1));
}

TEST(GroupingTest, EachMethodTakesItsLayers) {
  const std::vector<LayerGroup> groups = GroupLayers(8, 4, false);
  EXPECT_THAT(Single(CombineFirst(groups)), ElementsAre(0, 2, 4, 6));
  EXPECT_THAT(Single(CombineLast(groups)), ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(Single(CombineStep(8, 4)), ElementsAre(0, 2, 5, 7));  // 0, 2.33, 4.67, 7
  EXPECT_THAT(Single(CombineStep(8, 1)), ElementsAre(0));
  EXPECT_THAT(CombineMean(groups)[1], ElementsAre(Pair(2, 0.5), Pair(3, 0.5)));
}

TEST(GroupingTest, InfluenceWeighsALayerByWhatItChanges) {
  const std::vector<LayerGroup> groups = GroupLayers(4, 2, false);
  const auto combined = CombineByInfluence(groups, {0.9, 0.7, 1.0, 1.0});
  EXPECT_THAT(combined[0], ElementsAre(Pair(0, DoubleEq((1.0 - 0.9) / ((1.0 - 0.9) + (1.0 - 0.7)))),
                                       Pair(1, DoubleEq((1.0 - 0.7) / ((1.0 - 0.9) + (1.0 - 0.7))))));
  EXPECT_THAT(combined[1], ElementsAre(Pair(2, 0.5), Pair(3, 0.5)));
}

TEST(GroupingTest, DropsTheBlockThatMovesTheStateLeast) {
  EXPECT_THAT(Single(CombineDrop(6, 4, {0.5, 0.2, 0.9, 0.1, 0.95}, false)), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Single(CombineDrop(6, 4, {0.5, 0.2, 0.9, 0.1, 0.95}, true)), ElementsAre(0, 1, 4, 5));
}

TEST(GroupingTest, RdscKeepsTheBaseAndTheDifferencesAboveIt) {
  // theta_2 + (theta_3 - theta_2) + (theta_4 - theta_2): 1 - 2 of the base, 1 of each other.
  const auto combined = CombineRdsc(6, 4, 2, false, [](const auto&) { return 1.0; });
  ASSERT_EQ(combined.size(), 4u);
  // From the top: layer 4 takes in 5, then layer 3 takes in the collapsed 4; of each base nothing is left.
  EXPECT_THAT(combined[3], ElementsAre(Pair(3, 0.0), Pair(4, 0.0), Pair(5, 1.0)));
  for (const Combination& combination : combined) {
    double sum = 0.0;
    for (const auto& [layer, weight] : combination) {
      sum += weight;
    }
    EXPECT_DOUBLE_EQ(sum, 1.0);
  }
}

TEST(GroupingTest, RdscRefusesCollapsesThatChangeTheOutput) {
  // Only collapses that keep layer 5 apart are good enough: those lower down are found.
  const auto keeps_last = [](const std::vector<Combination>& layers) {
    return layers.back() == Combination{{5, 1.0}} && layers[layers.size() - 2].back().first == 4 ? 0.9 : 0.1;
  };
  const auto combined = CombineRdsc(6, 5, 2, false, keeps_last);
  EXPECT_EQ(combined.size(), 5u);
  EXPECT_THAT(combined.back(), ElementsAre(Pair(5, 1.0)));
}

TEST(GroupingTest, RdscReachesItsNumberOfLayersWhateverTheOutput) {
  EXPECT_EQ(CombineRdsc(8, 2, 4, false, [](const auto&) { return -0.5; }).size(), 2u);
  EXPECT_EQ(CombineRdsc(8, 3, 4, true, [](const auto&) { return -1.0; }).size(), 3u);
}

}  // namespace
}  // namespace cherry::trainer
