// What the paper printed [quantspec]: tables 2 to 7, verbatim.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace quantspec::eval {

// Table 4, and table 7 with acceptance in percent as in table 4. Where the paper has "-", out of
// memory: acceptance and speedup are 0.
struct PaperMain {
  const char* model;
  const char* dataset;
  int context;         // tokens
  const char* method;  // ours that is nearest: streaming, snapkv, quantspec-all
  double acceptance_percent;
  double peak_gib;
  double speedup;  // over plain decoding with 16 bits
  int gamma;
};
std::span<const PaperMain> PaperTable4();
std::span<const PaperMain> PaperTable7();

struct PaperSearch {
  const char* model;
  const char* dataset;
  const char* method;
  int gamma;
  double acceptance_percent;
  double tokens_per_s;
};
std::span<const PaperSearch> PaperTable6();

// Acceptance and speedup that the paper's table has for `method` at the context nearest to ours
// (by ratio), over its models and texts.
struct PaperRange {
  int context = 0;  // 0: the paper has none
  double low_acceptance = 0, high_acceptance = 0;
  double low_speedup = 0, high_speedup = 0;
};
PaperRange NearestPaper(std::span<const PaperMain> table, const std::string& method, int context);

// The text of a table, in Markdown.
std::string PaperTable2Text();
std::string PaperTable3Text();
std::string PaperMainText(std::span<const PaperMain> table);
std::string PaperTable5Text();
std::string PaperTable6Text();

}  // namespace quantspec::eval
