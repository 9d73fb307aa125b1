#include "client/report/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/report/html.h"

namespace cherry::client {
namespace {

// Units of the picture: it is drawn about as wide as it is, so that text keeps its size on a phone.
constexpr double kWidth = 420;
constexpr double kHeight = 240;
constexpr double kLeft = 46;
constexpr double kRight = 18;
constexpr double kTop = 10;
constexpr double kBottom = 34;
constexpr size_t kMostMarks = 30;  // Lines of more points have none.

std::string Unit(double value) { return absl::StrFormat("%.1f", value); }

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void Cover(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // One value alone would have no scale.
  void Widen(double share) {
    const double span = high - low;
    const double more = span > 0 ? share * span : std::max(0.5 * std::abs(high), 1e-6);
    low -= more;
    high += more;
  }
};

// Where points of the chart lie in the picture.
struct Frame {
  Range x, y;
  double X(double value) const {
    return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight);
  }
  double Y(double value) const {
    return kHeight - kBottom - (value - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom);
  }
};

std::string TickText(double value, double step) {
  if (std::abs(value) < step / 1e6) {
    return "0";
  }
  if (step >= 1000.0) {
    return step >= 1e6 ? absl::StrFormat("%gM", value / 1e6) : absl::StrFormat("%gk", value / 1e3);
  }
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
  return decimals > 4 ? absl::StrFormat("%.2g", value) : absl::StrFormat("%.*f", decimals, value);
}

double StepOf(const std::vector<double>& ticks) { return ticks.size() > 1 ? ticks[1] - ticks[0] : 1.0; }

std::string Label(const std::string& text, double x, double y, const char* anchor) {
  return TextElement("text", text, {{"x", Unit(x)}, {"y", Unit(y)}, {"text-anchor", anchor}});
}

std::string Axes(const Frame& frame) {
  std::string out;
  const std::vector<double> ys = Ticks(frame.y.low, frame.y.high, 5);
  for (const double y : ys) {
    const std::string at = Unit(frame.Y(y));
    absl::StrAppend(
        &out,
        Element(
            "line", "",
            {{"x1", Unit(kLeft)}, {"x2", Unit(kWidth - kRight)}, {"y1", at}, {"y2", at}, {"class", "grid"}}),
        Label(TickText(y, StepOf(ys)), kLeft - 5, frame.Y(y) + 4, "end"));
  }
  const std::vector<double> xs = Ticks(frame.x.low, frame.x.high, 5);
  for (const double x : xs) {
    const std::string at = Unit(frame.X(x));
    absl::StrAppend(&out,
                    Element("line", "",
                            {{"x1", at},
                             {"x2", at},
                             {"y1", Unit(kHeight - kBottom)},
                             {"y2", Unit(kHeight - kBottom + 4)},
                             {"class", "axis"}}),
                    Label(TickText(x, StepOf(xs)), frame.X(x), kHeight - kBottom + 16, "middle"));
  }
  absl::StrAppend(
      &out,
      Element("path", "",
              {{"d", absl::StrCat("M", kLeft, " ", kTop, "V", kHeight - kBottom, "H", kWidth - kRight)},
               {"class", "axis"}}),
      Label("step", (kLeft + kWidth - kRight) / 2, kHeight - 4, "middle"));
  return out;
}

std::string LineOf(const ChartLine& line, const Points& points, const Frame& frame) {
  std::string coordinates, marks;
  const std::string color = absl::StrCat("c", line.color % kChartColors);
  for (const auto& [x, y] : points) {
    absl::StrAppend(&coordinates, coordinates.empty() ? "" : " ", Unit(frame.X(x)), ",", Unit(frame.Y(y)));
    if (points.size() <= kMostMarks) {
      absl::StrAppend(&marks, Element("circle", "",
                                      {{"cx", Unit(frame.X(x))},
                                       {"cy", Unit(frame.Y(y))},
                                       {"r", "2.2"},
                                       {"class", color + " mark"}}));
    }
  }
  return absl::StrCat(
      Element("polyline", "",
              {{"points", coordinates}, {"class", absl::StrCat(color, line.dashed ? " dashed" : "")}}),
      marks, "\n");
}

std::string Legend(const Chart& chart) {
  std::string items;
  for (const ChartLine& line : chart.lines) {
    if (line.name.empty()) {
      continue;
    }
    const std::string swatch = Element(
        "svg",
        Element("line", "",
                {{"x1", "0"},
                 {"x2", "24"},
                 {"y1", "5"},
                 {"y2", "5"},
                 {"class", absl::StrCat("c", line.color % kChartColors, line.dashed ? " dashed" : "")}}),
        {{"viewBox", "0 0 24 10"}, {"class", "swatch"}, {"aria-hidden", "true"}});
    absl::StrAppend(&items, Element("li", absl::StrCat(swatch, EscapeHtml(line.name))), "\n");
  }
  return Element("ul", items, {{"class", "legend"}});
}

Points Finite(const Points& points) {
  Points finite;
  std::copy_if(points.begin(), points.end(), std::back_inserter(finite),
               [](const auto& point) { return std::isfinite(point.first) && std::isfinite(point.second); });
  return finite;
}

std::string Percent(double value) { return absl::StrFormat("%.2f", value); }

// One bar, on a scale of 0 to 100 across; what is drawn keeps its thickness whatever the width.
std::string BarPicture(const Bar& bar, const Range& range) {
  const auto at = [&range](double value) { return 100.0 * (value - range.low) / (range.high - range.low); };
  const auto upright = [&at](double value, double from, double to, const char* kind) {
    return Element("line", "",
                   {{"x1", Percent(at(value))},
                    {"x2", Percent(at(value))},
                    {"y1", Unit(from)},
                    {"y2", Unit(to)},
                    {"class", kind}});
  };
  std::string out;
  if (std::isfinite(bar.value)) {
    const double from = std::min(at(0.0), at(bar.value));
    const double to = std::max(at(0.0), at(bar.value));
    absl::StrAppend(&out, Element("rect", "",
                                  {{"x", Percent(from)},
                                   {"y", "4"},
                                   {"width", Percent(to - from)},
                                   {"height", "12"},
                                   {"class", "bar"}}));
  }
  absl::StrAppend(&out, upright(0.0, 0, 20, "axis"), upright(1.0, 0, 20, "full"));
  for (const double value : bar.single) {
    if (std::isfinite(value)) {
      absl::StrAppend(&out, upright(value, 6, 14, "single"));
    }
  }
  if (bar.half_width > 0.0) {
    const double low = std::max(range.low, bar.value - bar.half_width);
    const double high = std::min(range.high, bar.value + bar.half_width);
    absl::StrAppend(&out, Element("line", "",
                                  {{"x1", Percent(at(low))},
                                   {"x2", Percent(at(high))},
                                   {"y1", "10"},
                                   {"y2", "10"},
                                   {"class", "whisker"}}));
  }
  return Element("svg", out,
                 {{"viewBox", "0 0 100 20"},
                  {"preserveAspectRatio", "none"},
                  {"class", "bars"},
                  {"role", "img"},
                  {"aria-label", absl::StrCat(bar.name, ": ", bar.text)}});
}

std::string Figure(const std::string& title, const std::string& body, const std::string& note) {
  return absl::StrCat(
      Element("figure", absl::StrCat(TextElement("figcaption", title), "\n", body,
                                     note.empty() ? "" : TextElement("p", note, {{"class", "note"}}))),
      "\n");
}

}  // namespace

Points Downsample(const Points& points, size_t most) {
  if (points.size() <= most) {
    return points;
  }
  const size_t stretches = (most - 2) / 2;
  const double first = points.front().first;
  const double span = points.back().first - first;
  Points kept = {points.front()};
  size_t next = 1;
  for (size_t i = 0; i < stretches; ++i) {
    const double end = first + span * static_cast<double>(i + 1) / static_cast<double>(stretches);
    const size_t begin = next;
    while (next + 1 < points.size() && (points[next].first <= end || i + 1 == stretches)) {
      ++next;
    }
    if (begin == next) {
      continue;
    }
    const auto [low, high] = std::minmax_element(
        points.begin() + static_cast<int64_t>(begin), points.begin() + static_cast<int64_t>(next),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    kept.push_back(*std::min(low, high));
    if (low != high) {
      kept.push_back(*std::max(low, high));
    }
  }
  kept.push_back(points.back());
  return kept;
}

std::vector<double> Ticks(double low, double high, int count) {
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough * (1 - 1e-9)) {
      step = factor * power;
    }
  }
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-9);
  for (int i = 0; (first + i) * step <= high + 1e-9 * step; ++i) {
    ticks.push_back((first + i) * step);
  }
  return ticks;
}

std::string RenderChart(const Chart& chart) {
  Frame frame;
  std::vector<Points> lines;
  for (const ChartLine& line : chart.lines) {
    lines.push_back(Downsample(Finite(line.points), kChartPoints));
    for (const auto& [x, y] : lines.back()) {
      frame.x.Cover(x);
      frame.y.Cover(y);
    }
  }
  if (frame.x.low > frame.x.high) {
    return "";
  }
  if (chart.reference.has_value()) {
    frame.y.Cover(*chart.reference);
  }
  frame.x.Widen(frame.x.low < frame.x.high ? 0.0 : 0.05);
  frame.y.Widen(0.05);
  std::string picture = Axes(frame);
  if (chart.reference.has_value()) {
    const std::string at = Unit(frame.Y(*chart.reference));
    absl::StrAppend(
        &picture,
        Element(
            "line", "",
            {{"x1", Unit(kLeft)}, {"x2", Unit(kWidth - kRight)}, {"y1", at}, {"y2", at}, {"class", "axis"}}));
  }
  absl::StrAppend(&picture, "\n");
  for (size_t i = 0; i < lines.size(); ++i) {
    absl::StrAppend(&picture, LineOf(chart.lines[i], lines[i], frame));
  }
  const std::string svg = Element("svg", picture,
                                  {{"viewBox", absl::StrCat("0 0 ", kWidth, " ", kHeight)},
                                   {"class", "chart"},
                                   {"role", "img"},
                                   {"aria-label", chart.title}});
  return Figure(chart.title, absl::StrCat(svg, "\n", Legend(chart)), chart.note);
}

std::string RenderBars(const std::string& title, const std::string& note, const std::vector<Bar>& bars) {
  if (bars.empty()) {
    return "";
  }
  Range range;
  range.Cover(0.0);
  range.Cover(1.0);
  for (const Bar& bar : bars) {
    if (std::isfinite(bar.value)) {
      range.Cover(bar.value);
    }
    for (const double value : bar.single) {
      if (std::isfinite(value)) {
        range.Cover(value);
      }
    }
  }
  range.Widen(0.05);
  std::string rows;
  for (const Bar& bar : bars) {
    absl::StrAppend(&rows,
                    Element("li", absl::StrCat(TextElement("span", bar.name, {{"class", "name"}}), " ",
                                               TextElement("span", bar.text, {{"class", "value"}}),
                                               BarPicture(bar, range))),
                    "\n");
  }
  return Figure(title, Element("ul", rows, {{"class", "barlist"}}), note);
}

}  // namespace cherry::client
