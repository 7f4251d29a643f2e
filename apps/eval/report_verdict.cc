#include <algorithm>
#include <set>

#include "eval/markdown.h"
#include "eval/method.h"
#include "eval/report_tables.h"

namespace quantspec::eval {
namespace {

const Summary* Find(const Report& report, const Summary& like, const std::string& method) {
  for (const Summary& summary : report.chosen) {
    if (summary.experiment == like.experiment && summary.model == like.model &&
        summary.context == like.context && summary.method == method && summary.speedup.bf16) {
      return &summary;
    }
  }
  return nullptr;
}

std::string Speed(const Summary& summary) {
  return FindMethod(summary.method).label + " " +
         WithInterval(summary.speedup.bf16, summary.bf16_ci95);
}

// Why a draft that reads less is not faster: the two things that a round's speed comes from.
std::string Reason(const Summary& ours, const Summary& theirs) {
  std::string text;
  if (ours.acceptance && theirs.acceptance) {
    text += "accepted " + Percent(*ours.acceptance) + " at gamma " + std::to_string(ours.gamma) +
            " against " + Percent(*theirs.acceptance) + " at gamma " + std::to_string(theirs.gamma);
  }
  text +=
      ", " + Decimals(ours.tau, 2) + " tokens a verification against " + Decimals(theirs.tau, 2);
  return text;
}

// What speaks against a difference, in brackets.
std::string Spread(const std::optional<Interval>& ours, const std::optional<Interval>& rival) {
  if (!ours || !rival) return " (one example: no interval)";
  const bool apart = ours->low > rival->high || ours->high < rival->low;
  return apart ? "" : " (the intervals overlap)";
}

// One line: ours, the better of the two forms, against one rival.
std::string Compare(const Summary& ours, const Summary& rival) {
  const std::string spread = Spread(ours.bf16_ci95, rival.bf16_ci95);
  const bool is_above = *ours.speedup.bf16 > *rival.speedup.bf16;
  const std::string line =
      std::string("  - ") + (is_above ? "above " : "**not above** ") + Speed(rival) + spread;
  return is_above ? line + "\n" : line + ":\n    " + Reason(ours, rival) + "\n";
}

std::string VerdictAt(const Report& report, const Summary& like) {
  const Summary* ours = Find(report, like, "quantspec");
  const Summary* paper = Find(report, like, "quantspec-all");
  if (ours == nullptr || (paper != nullptr && *paper->speedup.bf16 > *ours->speedup.bf16)) {
    ours = paper;
  }
  if (ours == nullptr) return "";
  std::string lines;
  for (const char* method :
       {"streaming", "snapkv", "streaming-int4", "snapkv-int4", "pillar", "ngram"}) {
    if (const Summary* rival = Find(report, like, method)) lines += Compare(*ours, *rival);
  }
  if (lines.empty()) return "";
  const Summary* int4 = Find(report, like, kPlainInt4);
  if (int4 != nullptr && *int4->speedup.bf16 > *ours->speedup.bf16) {
    lines += "  - plain decoding with 4-bit weights, whose output differs, is faster: " +
             WithInterval(int4->speedup.bf16, int4->bf16_ci95) + "\n";
  }
  return "- " + like.model + ", " + std::to_string(like.context) +
         " tokens, times plain decoding with 16 bits (n = " + std::to_string(ours->n) + "):\n  " +
         Speed(*ours) + " is\n" + lines;
}

}  // namespace

std::string VerdictText(const Report& report) {
  std::string text;
  std::set<std::string> said;
  for (const Summary& summary : report.chosen) {
    if (summary.experiment != "table4" && summary.experiment != "table7") continue;
    const std::string line = VerdictAt(report, summary);
    if (said.insert(line).second) text += line;
  }
  return text;
}

}  // namespace quantspec::eval
