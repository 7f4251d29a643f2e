// The plots of a report.
#pragma once

#include <string>
#include <vector>

#include "eval/report.h"

namespace quantspec::eval {

struct Plot {
  std::string file;  // in the report's folder
  std::string title;
  std::string svg;
};

// Only those that there are results for: speedup over contexts, acceptance over gamma, ablation.
std::vector<Plot> MakePlots(const Report& report);

}  // namespace quantspec::eval
