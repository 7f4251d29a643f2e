#include "cli/arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <sstream>
#include <system_error>

#include "quantspec/types.h"

namespace quantspec::cli {
namespace {

template <typename T>
std::string Show(T value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

[[noreturn]] void Refuse(std::string_view option, std::string_view found,
                         const std::string& expected) {
  throw UsageError(std::string(option) + ": found '" + std::string(found) + "', expected " +
                   expected);
}

template <typename T>
bool ParseWhole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

int64_t ParseInteger(std::string_view option, std::string_view text, int64_t low, int64_t high) {
  int64_t value = 0;
  if (!ParseWhole(text, value) || value < low || value > high) {
    Refuse(option, text, "a whole number from " + Show(low) + " to " + Show(high));
  }
  return value;
}

int ParseOrAuto(std::string_view option, std::string_view text, int high) {
  int value = 0;
  if (text == "auto") return kAuto;
  if (!ParseWhole(text, value) || value < 0 || value > high) {
    Refuse(option, text, "auto or a whole number from 0 to " + Show(high));
  }
  return value;
}

uint64_t ParseUnsigned(std::string_view option, std::string_view text) {
  uint64_t value = 0;
  if (!ParseWhole(text, value)) Refuse(option, text, "a whole number from 0 to 2^64 - 1");
  return value;
}

double ParseNumber(std::string_view option, std::string_view text, double low, double high) {
  double value = 0;
  if (!ParseWhole(text, value) || !std::isfinite(value) || value < low || value > high) {
    Refuse(option, text, "a number from " + Show(low) + " to " + Show(high));
  }
  return value;
}

std::vector<std::string> SplitList(std::string_view option, std::string_view text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    if (parts.back().empty()) Refuse(option, text, "values separated by commas");
    begin = end + 1;
  }
  return parts;
}

std::vector<std::string> SplitEmptyValues(std::span<const char* const> arguments) {
  std::vector<std::string> split;
  bool has_options = true;
  for (const std::string argument : arguments) {
    if (argument == "--") has_options = false;
    const size_t equals = argument.find('=');
    if (has_options && argument.rfind("--", 0) == 0 && equals > 2 &&
        equals + 1 == argument.size()) {
      split.push_back(argument.substr(0, equals));
      split.emplace_back();
    } else {
      split.push_back(argument);
    }
  }
  return split;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::string NearestName(std::string_view text, std::span<const std::string> names) {
  std::string nearest;
  size_t least = std::max<size_t>(2, text.size() / 2);
  for (const std::string& name : names) {
    const bool is_prefix = text.size() > 3 && std::string_view(name).substr(0, text.size()) == text;
    const size_t distance = is_prefix ? 1 : EditDistance(text, name);
    if (distance < least) {
      least = distance;
      nearest = name;
    }
  }
  return nearest;
}

}  // namespace quantspec::cli
