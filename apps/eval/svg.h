// Line charts as SVG, without a library: what a report shows.
#pragma once

#include <string>
#include <vector>

namespace quantspec::eval {

struct ChartPoint {
  double x = 0;
  double y = 0;
  double low = 0, high = 0;  // of the whisker; equal: none
};

struct ChartLine {
  std::string name;
  std::vector<ChartPoint> points;  // by rising x
};

enum class Scale { kLinear, kLogarithmic };

struct Chart {
  std::string title, x_label, y_label;
  Scale x_scale = Scale::kLinear;
  double baseline = 0;  // a dashed line at this y; 0: none
  std::vector<ChartLine> lines;
};

// A whole SVG document of fixed size with axes, a legend and whiskers. Equal charts give equal
// bytes. Names may hold any text.
std::string RenderSvg(const Chart& chart);

}  // namespace quantspec::eval
