#include "eval/svg.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

namespace quantspec::eval {
namespace {

Chart Small() {
  Chart chart;
  chart.title = "Speed <by> \"context\" & more";
  chart.x_scale = Scale::kLogarithmic;
  chart.baseline = 1;
  chart.lines = {{"one", {{1000, 1.2, 1.1, 1.3}, {4000, 1.5, 1.5, 1.5}}},
                 {"two", {{1000, 0.8, 0.7, 0.9}, {4000, 1.0, 0.9, 1.1}}}};
  return chart;
}

std::vector<double> Attribute(const std::string& svg, const std::string& name) {
  std::vector<double> values;
  const std::regex pattern(" " + name + "=\"(-?[0-9.]+)\"");
  for (std::sregex_iterator it(svg.begin(), svg.end(), pattern), end; it != end; ++it) {
    values.push_back(std::stod((*it)[1]));
  }
  return values;
}

TEST(Svg, PlacesHigherValuesHigher) {
  const std::vector<double> y = Attribute(RenderSvg(Small()), "cy");
  ASSERT_EQ(y.size(), 6u);  // two points and a legend's mark each
  EXPECT_LT(y[1], y[0]);    // 1.5 above 1.2
  EXPECT_LT(y[0], y[3]);    // 1.2 above 0.8
}

TEST(Svg, StaysInsideItsFrame) {
  Chart chart = Small();
  chart.lines[0].points.push_back({128000, 40, 2, 90});
  const std::string svg = RenderSvg(chart);
  for (const char* name : {"x1", "x2", "cx"}) {
    for (const double x : Attribute(svg, name)) EXPECT_TRUE(x >= 0 && x <= 900) << x;
  }
  for (const char* name : {"y1", "y2", "cy"}) {
    for (const double y : Attribute(svg, name)) EXPECT_TRUE(y >= 0 && y <= 440) << y;
  }
}

TEST(Svg, EscapesText) {
  const std::string svg = RenderSvg(Small());
  EXPECT_NE(svg.find("&lt;by&gt; &quot;context&quot; &amp; more"), std::string::npos);
}

TEST(Svg, OnePointAndNoneAreCharts) {
  Chart chart;
  chart.lines = {{"one", {{3, 0.5, 0.5, 0.5}}}};
  EXPECT_EQ(RenderSvg(chart).find("nan"), std::string::npos);
  chart.lines.clear();
  EXPECT_NE(RenderSvg(chart).find("no results yet"), std::string::npos);
}

TEST(Svg, EqualChartsGiveEqualBytes) { EXPECT_EQ(RenderSvg(Small()), RenderSvg(Small())); }

}  // namespace
}  // namespace quantspec::eval
