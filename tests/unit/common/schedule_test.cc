#include "common/schedule.h"

#include "common/model_plan.h"
#include "common/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int64_t> LayersOf(absl::string_view text, int64_t layers) {
  std::vector<int64_t> order;
  const std::vector<Visit> visits = ParseSchedule(text, layers).value();
  for (const Visit& visit : visits) {
    order.push_back(visit.layer);
  }
  return order;
}

TEST(ScheduleTest, WithoutOneEachLayerIsVisitedOnce) {
  EXPECT_THAT(LayersOf("", 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(LayersOf("3", 3), ElementsAre(0, 1, 2));
}

TEST(ScheduleTest, ALoopTakesItsLayersInTurn) {
  EXPECT_THAT(LayersOf("1 + 2x3 + 1", 4), ElementsAre(0, 1, 2, 1, 2, 1, 2, 3));
  EXPECT_THAT(LayersOf("1x2+1x3", 2), ElementsAre(0, 0, 1, 1, 1));
}

TEST(ScheduleTest, TheSchedulesOfThePaperHave34EffectiveLayers) {
  for (const char* schedule : {"1 + 4x8 + 1", "2 + 2x15 + 2", "1x5 + 1x6 + 1x6 + 1x6 + 1x6 + 1x5"}) {
    EXPECT_EQ(ParseSchedule(schedule, 6)->size(), 34u) << schedule;
  }
}

TEST(ScheduleTest, VisitsKnowTheirRoundAndLoop) {
  const std::vector<Visit> visits = ParseSchedule("1 + 2x2 + 1x3", 4).value();
  EXPECT_EQ(visits[0].loop, -1);
  EXPECT_EQ(visits[3].round, 1);
  EXPECT_EQ(visits[3].rounds, 2);
  EXPECT_TRUE(visits[3].begins_round);
  EXPECT_FALSE(visits[4].begins_round);
  EXPECT_EQ(visits[5].loop, 1);
}

TEST(ScheduleTest, WhatIsNoScheduleOfTheseLayersIsRefused) {
  for (const char* bad :
       {"1 + 4x8", "1 + 4x8 + 2", "a", "0x3 + 6", "6x", "x6", "1 ++ 5", "3x0 + 3", "6x100000", "-1 + 7"}) {
    const auto parsed = ParseSchedule(bad, 6);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(InfoOf(parsed.status()).field(), "compress.unroll.schedule");
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(bad));
  }
}

TEST(ScheduleTest, ThePlanOfAnUnrolledModelCountsVisitsInFlopsAndLayersInParameters) {
  const ModelShape plain = *ResolveModel(*PresetConfig("cherry-227m"), 0);
  ModelShape looped = plain;
  looped.schedule = "1 + 4x8 + 1";
  looped.serveable = true;
  EXPECT_EQ(VisitsOf(looped).size(), 34u);
  // 32 visits with two gains each, and 28 of them with two norms of their own.
  EXPECT_EQ(CountParameters(looped) - CountParameters(plain), 32 * 2 + 28 * 2 * 1280);
  const double head = 6.0 * 44544 * 1280;
  EXPECT_NEAR((FlopsPerToken(looped, 1024) - head) / (FlopsPerToken(plain, 1024) - head), 34.0 / 6.0, 1e-9);
  looped.serveable = false;
  EXPECT_EQ(CountParameters(looped) - CountParameters(plain),
            32 * 2 + 28 * 2 * 1280 + 8 * (1 + 1280) + 1280 * 1280);
}

}  // namespace
}  // namespace cherry
