#include "client/cli/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cherry::client {
namespace {

constexpr int kLabelWidth = 9;
constexpr int kDotRows = 4;  // Of one character.
constexpr int kDotColumns = 2;
const char* const kColors[] = {"\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m"};
const char* const kMarks[] = {"", "o", "x", "+"};
constexpr char kPlain[] = "\x1b[0m";

struct Frame {
  double x0 = 0, x1 = 0, y0 = 0, y1 = 0;
  int columns = 0, rows = 0;

  int DotX(double x) const {
    return static_cast<int>(std::lround((x - x0) / (x1 - x0) * (columns * kDotColumns - 1)));
  }
  int DotY(double y) const {
    return static_cast<int>(std::lround((y1 - y) / (y1 - y0) * (rows * kDotRows - 1)));
  }
};

struct Cell {
  uint8_t dots = 0;
  int mark = 0;  // Index of the series whose mark stands here; 0 for none.
};

std::string Braille(uint8_t dots) {
  const uint32_t code = 0x2800 + dots;
  return {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3f)),
          static_cast<char>(0x80 | (code & 0x3f))};
}

uint8_t DotBit(int x, int y) {
  static constexpr uint8_t kBits[kDotRows][kDotColumns] = {
      {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
  return kBits[y][x];
}

std::vector<Series> Finite(const std::vector<Series>& series) {
  std::vector<Series> kept;
  for (const Series& one : series) {
    Series clean{one.name, {}};
    for (const auto& point : one.points) {
      if (std::isfinite(point.first) && std::isfinite(point.second)) {
        clean.points.push_back(point);
      }
    }
    if (!clean.points.empty()) {
      kept.push_back(std::move(clean));
    }
  }
  return kept;
}

Frame Fit(const std::vector<Series>& series, const PlotSize& size) {
  Frame frame;
  frame.x0 = frame.y0 = HUGE_VAL;
  frame.x1 = frame.y1 = -HUGE_VAL;
  for (const Series& one : series) {
    for (const auto& [x, y] : one.points) {
      frame.x0 = std::min(frame.x0, x);
      frame.x1 = std::max(frame.x1, x);
      frame.y0 = std::min(frame.y0, y);
      frame.y1 = std::max(frame.y1, y);
    }
  }
  if (frame.x1 <= frame.x0) {
    frame.x1 = frame.x0 + 1;
  }
  if (frame.y1 <= frame.y0) {
    frame.y1 = frame.y0 + std::max(1e-6, std::abs(frame.y0) * 0.1);
  }
  frame.columns = std::max(size.width, 24) - kLabelWidth - 2;
  frame.rows = std::max(size.height, 3);
  return frame;
}

using Grid = std::vector<std::vector<Cell>>;

void SetDot(int x, int y, Grid* grid) {
  (*grid)[y / kDotRows][x / kDotColumns].dots |= DotBit(x % kDotColumns, y % kDotRows);
}

void DrawLine(const Series& series, const Frame& frame, Grid* grid) {
  int last_x = -1;
  int last_y = -1;
  for (const auto& [x, y] : series.points) {
    const int to_x = frame.DotX(x);
    const int to_y = frame.DotY(y);
    const int steps = last_x < 0 ? 1 : std::max({1, std::abs(to_x - last_x), std::abs(to_y - last_y)});
    for (int i = 1; i <= steps; ++i) {
      const double share = last_x < 0 ? 1.0 : static_cast<double>(i) / steps;
      SetDot(static_cast<int>(std::lround(last_x + (to_x - last_x) * share)),
             static_cast<int>(std::lround(last_y + (to_y - last_y) * share)), grid);
    }
    last_x = to_x;
    last_y = to_y;
  }
}

std::string Row(const std::vector<Cell>& cells, bool color) {
  std::string out;
  for (const Cell& cell : cells) {
    const int kind = cell.mark;
    const bool empty = kind == 0 && cell.dots == 0;
    if (color && !empty) {
      absl::StrAppend(&out, kColors[kind % 4]);
    }
    absl::StrAppend(&out, kind > 0 ? kMarks[kind % 4] : empty ? " " : Braille(cell.dots));
    if (color && !empty) {
      absl::StrAppend(&out, kPlain);
    }
  }
  while (!out.empty() && out.back() == ' ') {
    out.pop_back();
  }
  return out;
}

std::string Legend(const std::vector<Series>& series, bool color) {
  std::string out(kLabelWidth + 2, ' ');
  for (size_t i = 0; i < series.size(); ++i) {
    const std::string mark = i == 0 ? Braille(0x12) : kMarks[i % 4];
    absl::StrAppend(&out, i == 0 ? "" : "   ", color ? kColors[i % 4] : "", mark, color ? kPlain : "", " ",
                    series[i].name, " ", absl::StrFormat("%.4g", series[i].points.back().second));
  }
  return out + "\n";
}

}  // namespace

std::string Plot(const std::vector<Series>& series, const PlotSize& size) {
  const std::vector<Series> curves = Finite(series);
  if (curves.empty()) {
    return "";
  }
  const Frame frame = Fit(curves, size);
  Grid grid(frame.rows, std::vector<Cell>(frame.columns));
  DrawLine(curves[0], frame, &grid);
  for (size_t i = 1; i < curves.size() && i < 4; ++i) {
    for (const auto& [x, y] : curves[i].points) {
      grid[frame.DotY(y) / kDotRows][frame.DotX(x) / kDotColumns].mark = static_cast<int>(i);
    }
  }
  std::string out;
  for (int row = 0; row < frame.rows; ++row) {
    const bool labelled = row == 0 || row == frame.rows - 1 || row == frame.rows / 2;
    const double y = frame.y1 - (frame.y1 - frame.y0) * row / (frame.rows - 1);
    const std::string label =
        labelled ? absl::StrFormat("%*.4g", kLabelWidth, y) : std::string(kLabelWidth, ' ');
    absl::StrAppend(&out, label, labelled ? " ┤" : " │", Row(grid[row], size.color), "\n");
  }
  std::string axis;
  for (int i = 0; i < frame.columns; ++i) {
    absl::StrAppend(&axis, "─");
  }
  const std::string first = absl::StrFormat("%.6g", frame.x0);
  const std::string last = absl::StrFormat("%.6g", frame.x1);
  const int gap = std::max<int>(1, frame.columns - static_cast<int>(first.size() + last.size()));
  absl::StrAppend(&out, std::string(kLabelWidth, ' '), " └", axis, "\n");
  absl::StrAppend(&out, std::string(kLabelWidth + 2, ' '), first, std::string(gap, ' '), last, "\n");
  return out + Legend(curves, size.color);
}

std::string Bar(double fraction, int width) {
  static const char* const kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double bounded = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  const int eighths = static_cast<int>(std::lround(bounded * width * 8));
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) {
    absl::StrAppend(&out, "█");
  }
  absl::StrAppend(&out, kParts[eighths % 8]);
  const int used = eighths / 8 + (eighths % 8 > 0 ? 1 : 0);
  return out + std::string(std::max(0, width - used), ' ');
}

}  // namespace cherry::client
