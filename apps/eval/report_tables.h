// report.md: the tables in the paper's order, the paper's values beside ours.
#pragma once

#include <string>

#include "eval/report.h"

namespace quantspec::eval {

std::string ReportText(const Report& report);

// What the figures say about QuantSpec against StreamingLLM and SnapKV, a line a context.
std::string VerdictText(const Report& report);

}  // namespace quantspec::eval
