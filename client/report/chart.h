// Charts as SVG, without a script.
//
// Pure functions, thread-safe.
#ifndef CHERRY_CLIENT_REPORT_CHART_H_
#define CHERRY_CLIENT_REPORT_CHART_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cherry::client {

inline constexpr int kChartColors = 8;
// Points of a line that are drawn at most.
inline constexpr size_t kChartPoints = 240;

using Points = std::vector<std::pair<double, double>>;  // x ascending

struct ChartLine {
  std::string name;  // In the legend; empty: it is not there.
  Points points;
  int color = 0;  // Below kChartColors.
  bool dashed = false;
};

struct Chart {
  std::string title;
  std::string note;  // Below the legend; may be empty.
  std::vector<ChartLine> lines;
  std::optional<double> reference;  // A horizontal line that belongs to the picture, e.g. 0.
};

// At most `most` of the points, in their order: the lowest and the highest of equal stretches of x, and both
// ends, so that no peak is lost. REQUIRES: most >= 4.
Points Downsample(const Points& points, size_t most);

// Round numbers from low to high, about `count` of them. REQUIRES: low < high, finite.
std::vector<double> Ticks(double low, double high, int count);

// A <figure> with axes and a legend. Points that are not finite are left out. Empty when no point is left.
std::string RenderChart(const Chart& chart);

struct Bar {
  std::string name;
  std::string text;  // Its value, for people.
  double value = 0.0;
  double half_width = 0.0;     // Of its interval; 0: none is drawn.
  std::vector<double> single;  // What it is the mean of; drawn as marks.
};

// A <figure> of bars on one scale that has 0 and 1 on it. What is not finite has no bar. Empty without bars.
std::string RenderBars(const std::string& title, const std::string& note, const std::vector<Bar>& bars);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_REPORT_CHART_H_
