#include "client/report/chart.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry::client {
namespace {

using ::testing::Contains;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;
using ::testing::SizeIs;

TEST(DownsampleTest, FewPointsStayAsTheyAre) {
  const Points points = {{0, 1}, {1, 5}, {2, 3}};
  EXPECT_EQ(Downsample(points, 4), points);
}

TEST(DownsampleTest, KeepsBothEndsAndEveryPeakInOrder) {
  Points points;
  for (int i = 0; i < 10000; ++i) {
    points.emplace_back(i, i == 7777 ? 100.0 : std::sin(i / 500.0));
  }
  const Points kept = Downsample(points, 100);
  EXPECT_THAT(kept, SizeIs(Le(100)));
  EXPECT_EQ(kept.front(), points.front());
  EXPECT_EQ(kept.back(), points.back());
  EXPECT_THAT(kept, Contains(std::pair(7777.0, 100.0)));
  EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end(), [](auto a, auto b) { return a.first < b.first; }));
}

TEST(DownsampleTest, PointsThatAllLieAtOnePlaceAreNoLoop) {
  const Points points(1000, {5.0, 1.0});
  EXPECT_THAT(Downsample(points, 100), SizeIs(Le(100)));
}

TEST(TicksTest, AreRoundNumbersWithinTheRange) {
  EXPECT_THAT(Ticks(0, 300, 5), ElementsAre(0, 100, 200, 300));
  EXPECT_THAT(Ticks(0.9, 2.1, 5), ElementsAre(1.0, 1.5, 2.0));
  EXPECT_THAT(Ticks(-0.013, 0.011, 5),
              ElementsAre(DoubleNear(-0.01, 1e-12), DoubleNear(-0.005, 1e-12), DoubleNear(0, 1e-12),
                          DoubleNear(0.005, 1e-12), DoubleNear(0.01, 1e-12)));
}

TEST(ChartTest, DrawsALineWithinItsAxes) {
  Chart chart{"Loss <all>", "", {{"ko & base", {{0, 4}, {100, 2}}, 1, false}}, std::nullopt};
  const std::string html = RenderChart(chart);
  // The frame is 46 to 402 across and 206 to 10 upwards; the range of y has 5 % more on either side.
  EXPECT_THAT(html, HasSubstr("points=\"46.0,18.9 402.0,197.1\" class=\"c1\""));
  EXPECT_THAT(html, HasSubstr("<figcaption>Loss &lt;all&gt;</figcaption>"));
  EXPECT_THAT(html, HasSubstr("ko &amp; base"));
  EXPECT_THAT(html, HasSubstr(">100</text>"));
}

TEST(ChartTest, LeavesOutWhatIsNotFinite) {
  Chart chart{"t", "", {{"a", {{0, 4}, {50, NAN}, {100, INFINITY}, {100, 2}}, 0, false}}, std::nullopt};
  const std::string html = RenderChart(chart);
  EXPECT_THAT(html, HasSubstr("points=\"46.0,18.9 402.0,197.1\""));
  chart.lines[0].points = {{0, NAN}};
  EXPECT_EQ(RenderChart(chart), "");
  chart.lines.clear();
  EXPECT_EQ(RenderChart(chart), "");
}

TEST(ChartTest, OnePointHasAScaleToo) {
  Chart chart{"t", "", {{"a", {{0, 0}}, 0, true}}, 1.0};
  const std::string html = RenderChart(chart);
  EXPECT_THAT(html, HasSubstr("dashed"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(html, Not(HasSubstr("inf")));
}

TEST(BarsTest, ShowZeroTheBaselineAndTheInterval) {
  const std::string html = RenderBars("Recovery", "", {{"rule", "0.5 ± 0.2", 0.5, 0.2, {0.4, 0.6}}});
  // 0 to 1 with 5 % more on either side, on a scale of 100: 0 is at 4.55, 1 at 95.45.
  EXPECT_THAT(html, HasSubstr("<rect x=\"4.55\" y=\"4\" width=\"45.45\""));
  EXPECT_THAT(html, HasSubstr("x1=\"95.45\" x2=\"95.45\" y1=\"0.0\" y2=\"20.0\" class=\"full\""));
  EXPECT_THAT(html, HasSubstr("x1=\"31.82\" x2=\"68.18\" y1=\"10\" y2=\"10\" class=\"whisker\""));
  EXPECT_THAT(html, HasSubstr("aria-label=\"rule: 0.5 ± 0.2\""));
}

TEST(BarsTest, ALossHasABarToTheLeftAndWhatIsNotFiniteHasNone) {
  const std::string html =
      RenderBars("Recovery", "", {{"worse", "-1", -1.0, 0.0, {}}, {"gone", "nan", NAN, 0.0, {NAN}}});
  EXPECT_THAT(html, HasSubstr("<rect x=\"4.55\" y=\"4\" width=\"45.45\""));
  EXPECT_THAT(html, Not(HasSubstr("=\"nan")));
  EXPECT_EQ(RenderBars("Recovery", "", {}), "");
}

}  // namespace
}  // namespace cherry::client
