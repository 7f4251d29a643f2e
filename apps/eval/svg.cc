#include "eval/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

namespace quantspec::eval {
namespace {

constexpr double kWidth = 960, kHeight = 440;
constexpr double kLeft = 64, kRight = 580, kTop = 48, kBottom = 384;  // of the plane
constexpr double kLegend = 600;
// Colours that people with colour blindness can tell apart [okabe2008], told apart by dashes after
// the last one.
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                    "#e69f00", "#56b4e9", "#444444"};
constexpr size_t kColourCount = sizeof(kColours) / sizeof(kColours[0]);

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", value);
  return text;
}

// A tick's text: as few digits as it needs.
std::string Tick(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", value);
  return text;
}

std::string Escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '"') {
      escaped += "&quot;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Text(double x, double y, const std::string& text, const std::string& attributes) {
  return "<text x=\"" + Number(x) + "\" y=\"" + Number(y) + "\" " + attributes + ">" +
         Escape(text) + "</text>\n";
}

std::string Line(double x1, double y1, double x2, double y2, const std::string& attributes) {
  return "<line x1=\"" + Number(x1) + "\" y1=\"" + Number(y1) + "\" x2=\"" + Number(x2) +
         "\" y2=\"" + Number(y2) + "\" " + attributes + "/>\n";
}

// The largest of 1, 2 and 5 times a power of ten that makes at least four steps of `range`.
double StepOf(double range) {
  const double power = std::pow(10, std::floor(std::log10(range / 4)));
  for (const double factor : {5.0, 2.0}) {
    if (factor * power <= range / 4) return factor * power;
  }
  return power;
}

struct Axes {
  double low_x = 0, high_x = 1, low_y = 0, high_y = 1, step_y = 0.5;
  Scale x_scale = Scale::kLinear;

  double X(double x) const {
    const auto place = [&](double v) { return x_scale == Scale::kLogarithmic ? std::log(v) : v; };
    return kLeft + (place(x) - place(low_x)) / (place(high_x) - place(low_x)) * (kRight - kLeft);
  }
  double Y(double y) const { return kBottom - (y - low_y) / (high_y - low_y) * (kBottom - kTop); }
};

Axes AxesOf(const Chart& chart, const std::set<double>& xs) {
  Axes axes;
  axes.x_scale = chart.x_scale;
  bool is_first = true;
  const auto include = [&](double y) {
    axes.low_y = is_first ? y : std::min(axes.low_y, y);
    axes.high_y = is_first ? y : std::max(axes.high_y, y);
    is_first = false;
  };
  for (const ChartLine& line : chart.lines) {
    for (const ChartPoint& point : line.points) {
      include(point.y);
      if (point.low < point.high) {
        include(point.low);
        include(point.high);
      }
    }
  }
  if (chart.baseline != 0) include(chart.baseline);
  const double margin = std::max((axes.high_y - axes.low_y) * 0.08, 0.02);
  axes.low_y = std::max(axes.low_y - margin, 0.0);
  axes.high_y += margin;
  axes.step_y = StepOf(axes.high_y - axes.low_y);
  // A little room beside the outermost points.
  const bool is_log = chart.x_scale == Scale::kLogarithmic;
  axes.low_x = is_log ? *xs.begin() / 1.15 : *xs.begin() - 0.3;
  axes.high_x = is_log ? *xs.rbegin() * 1.15 : *xs.rbegin() + 0.3;
  return axes;
}

std::string Frame(const Chart& chart, const Axes& axes, const std::set<double>& xs) {
  std::string svg;
  const double first = std::ceil(axes.low_y / axes.step_y);
  for (double i = first; i * axes.step_y <= axes.high_y; ++i) {
    const double y = axes.Y(i * axes.step_y);
    svg += Line(kLeft, y, kRight, y, "stroke=\"#dddddd\"");
    svg += Text(kLeft - 8, y + 4, Tick(i * axes.step_y), "text-anchor=\"end\"");
  }
  for (const double x : xs) {
    svg += Line(axes.X(x), kBottom, axes.X(x), kBottom + 5, "stroke=\"#333333\"");
    svg += Text(axes.X(x), kBottom + 20, Tick(x), "text-anchor=\"middle\"");
  }
  svg += Line(kLeft, kBottom, kRight, kBottom, "stroke=\"#333333\"");
  svg += Line(kLeft, kTop, kLeft, kBottom, "stroke=\"#333333\"");
  if (chart.baseline != 0) {
    const double y = axes.Y(chart.baseline);
    svg += Line(kLeft, y, kRight, y, "stroke=\"#333333\" stroke-dasharray=\"4 4\"");
  }
  svg += Text(kLeft, 26, chart.title, "font-size=\"15\" font-weight=\"bold\"");
  svg += Text((kLeft + kRight) / 2, kHeight - 14, chart.x_label, "text-anchor=\"middle\"");
  svg += "<text transform=\"translate(18 " + Number((kTop + kBottom) / 2) +
         ") rotate(-90)\" text-anchor=\"middle\">" + Escape(chart.y_label) + "</text>\n";
  return svg;
}

// `shift` in pixels keeps whiskers of different lines apart.
std::string DrawLine(const ChartLine& line, const Axes& axes, size_t index, double shift) {
  const std::string colour = kColours[index % kColourCount];
  const std::string dash = index >= kColourCount ? " stroke-dasharray=\"6 3\"" : "";
  const std::string stroke = "stroke=\"" + colour + "\"";
  std::string svg, path;
  for (const ChartPoint& point : line.points) {
    const double x = axes.X(point.x) + shift, y = axes.Y(point.y);
    path += (path.empty() ? "" : " ") + Number(x) + "," + Number(y);
    if (point.low < point.high) {
      const double low = axes.Y(point.low), high = axes.Y(point.high);
      svg += Line(x, low, x, high, stroke);
      svg += Line(x - 3, low, x + 3, low, stroke);
      svg += Line(x - 3, high, x + 3, high, stroke);
    }
    svg += "<circle cx=\"" + Number(x) + "\" cy=\"" + Number(y) + "\" r=\"3.5\" fill=\"" + colour +
           "\"/>\n";
  }
  svg += "<polyline points=\"" + path + "\" fill=\"none\" stroke-width=\"2\" " + stroke + dash +
         "/>\n";
  const double y = kTop + 12 + 22 * static_cast<double>(index);
  svg += Line(kLegend, y, kLegend + 24, y, stroke + " stroke-width=\"2\"" + dash);
  svg += "<circle cx=\"" + Number(kLegend + 12) + "\" cy=\"" + Number(y) + "\" r=\"3.5\" fill=\"" +
         colour + "\"/>\n";
  svg += Text(kLegend + 32, y + 4, line.name, "");
  return svg;
}

}  // namespace

std::string RenderSvg(const Chart& chart) {
  std::set<double> xs;
  for (const ChartLine& line : chart.lines) {
    for (const ChartPoint& point : line.points) xs.insert(point.x);
  }
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + Tick(kWidth) +
                    " " + Tick(kHeight) + "\" width=\"" + Tick(kWidth) + "\" height=\"" +
                    Tick(kHeight) +
                    "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222222\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  if (xs.empty()) {
    svg += Text(kLeft, 26, chart.title, "font-size=\"15\" font-weight=\"bold\"");
    return svg + Text(kLeft, 60, "no results yet", "") + "</svg>\n";
  }
  const Axes axes = AxesOf(chart, xs);
  svg += Frame(chart, axes, xs);
  const double middle = (static_cast<double>(chart.lines.size()) - 1) / 2;
  for (size_t i = 0; i < chart.lines.size(); ++i) {
    svg += DrawLine(chart.lines[i], axes, i, 2 * (static_cast<double>(i) - middle));
  }
  return svg + "</svg>\n";
}

}  // namespace quantspec::eval
