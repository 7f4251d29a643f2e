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

// One context of one model: ours, the better of the two forms, against one rival.
std::string Compare(const Summary& ours, const Summary& rival) {
  const double ratio = *ours.speedup.bf16 / *rival.speedup.bf16;
  const bool apart =
      ours.bf16_ci95->low > rival.bf16_ci95->high || ours.bf16_ci95->high < rival.bf16_ci95->low;
  const std::string spread = apart ? "" : " (the intervals overlap)";
  if (ratio > 1) return "above " + Speed(rival) + spread;
  return "**not above** " + Speed(rival) + spread + ": " + Reason(ours, rival);
}

std::string VerdictAt(const Report& report, const Summary& like) {
  const Summary* ours = Find(report, like, "quantspec");
  const Summary* paper = Find(report, like, "quantspec-all");
  if (ours == nullptr || (paper != nullptr && *paper->speedup.bf16 > *ours->speedup.bf16)) {
    ours = paper;
  }
  if (ours == nullptr) return "";
  std::string text = "- " + like.model + ", " + std::to_string(like.context) +
                     " tokens: " + Speed(*ours) +
                     " times plain decoding with 16 bits (n = " + std::to_string(ours->n) + ") is";
  std::vector<std::string> parts;
  for (const char* method :
       {"streaming", "snapkv", "streaming-int4", "snapkv-int4", "pillar", "ngram"}) {
    if (const Summary* rival = Find(report, like, method)) parts.push_back(Compare(*ours, *rival));
  }
  if (parts.empty()) return "";
  const Summary* int4 = Find(report, like, kPlainInt4);
  if (int4 != nullptr && *int4->speedup.bf16 > *ours->speedup.bf16) {
    parts.push_back("plain decoding with 4-bit weights alone, whose output differs, is faster: " +
                    WithInterval(int4->speedup.bf16, int4->bf16_ci95));
  }
  for (size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? " " : "; ") + parts[i];
  return text + ".\n";
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
