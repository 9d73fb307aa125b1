// Curves in a terminal, drawn with braille dots.
//
// Pure functions, thread-safe.
#ifndef CHERRY_CLIENT_CLI_PLOT_H_
#define CHERRY_CLIENT_CLI_PLOT_H_

#include <string>
#include <utility>
#include <vector>

namespace cherry::client {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x ascending
};

struct PlotSize {
  int width = 72;   // Columns, labels included; at least 24.
  int height = 10;  // Rows of the curve, without axis and legend.
  bool color = false;
};

// All series in one frame: the first as a line of dots, the others as marks. Points that are not finite are
// left out. Empty when no point is left. Every line ends in a newline.
std::string Plot(const std::vector<Series>& series, const PlotSize& size);

// `fraction` in [0, 1] as a bar of `width` columns, in eighths of a column.
std::string Bar(double fraction, int width);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_PLOT_H_
