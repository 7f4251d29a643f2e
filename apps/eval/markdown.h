// Tables and numbers as Markdown.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/statistics.h"

namespace quantspec::eval {

class MarkdownTable {
 public:
  explicit MarkdownTable(const std::vector<std::string>& head);
  void Add(const std::vector<std::string>& cells);
  // Empty if no row was added.
  std::string Text() const;

 private:
  std::string text_;
  bool has_rows_ = false;
};

std::string Decimals(double value, int decimals);
std::string Percent(double share);  // "93.4 %"
// "1.32 [1.25, 1.40]", or "-".
std::string WithInterval(const std::optional<double>& value,
                         const std::optional<Interval>& interval);
std::string Gigabytes(uint64_t bytes);  // "1.234", of 10^9 bytes
// "a, b and c".
std::string Enumerate(const std::vector<std::string>& names);

}  // namespace quantspec::eval
