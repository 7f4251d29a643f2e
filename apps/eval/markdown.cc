#include "eval/markdown.h"

#include <cstdio>

namespace quantspec::eval {
namespace {

std::string Line(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) {
    line += ' ';
    for (const char c : cell) {
      if (c == '|') line += '\\';  // would end the cell
      line += c;
    }
    line += " |";
  }
  return line + "\n";
}

}  // namespace

MarkdownTable::MarkdownTable(const std::vector<std::string>& head) : text_(Line(head)) {
  text_ += "|";
  for (size_t i = 0; i < head.size(); ++i) text_ += "---|";
  text_ += "\n";
}

void MarkdownTable::Add(const std::vector<std::string>& cells) {
  text_ += Line(cells);
  has_rows_ = true;
}

std::string MarkdownTable::Text() const { return has_rows_ ? text_ + "\n" : ""; }

std::string Decimals(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

std::string Percent(double share) { return Decimals(share * 100, 1) + " %"; }

std::string WithInterval(const std::optional<double>& value,
                         const std::optional<Interval>& interval) {
  if (!value) return "-";
  const std::string text = Decimals(*value, 2);
  if (!interval) return text;
  return text + " [" + Decimals(interval->low, 2) + ", " + Decimals(interval->high, 2) + "]";
}

std::string Gigabytes(uint64_t bytes) { return Decimals(static_cast<double>(bytes) / 1e9, 3); }

std::string Enumerate(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  return text;
}

}  // namespace quantspec::eval
