// Values and names as they are typed: strict numbers with ranges, and the nearest name to a typo.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace quantspec::cli {

// Wrong usage: the program prints it and ends with exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A whole number in [low, high]. `option` is named in the UsageError for anything else, e.g. for
// "1e12", "4x", "nan" or a number of any size outside the range.
int64_t ParseInteger(std::string_view option, std::string_view text, int64_t low, int64_t high);
// "auto", as kAuto, or a whole number from 0 to `high`.
inline constexpr int kAuto = -1;
int ParseOrAuto(std::string_view option, std::string_view text, int high);
// Any 64-bit unsigned number.
uint64_t ParseUnsigned(std::string_view option, std::string_view text);
// A finite decimal number in [low, high].
double ParseNumber(std::string_view option, std::string_view text, double low, double high);
// The parts of a comma-separated list; UsageError for an empty one.
std::vector<std::string> SplitList(std::string_view option, std::string_view text);

// The program's arguments with every "--name=" as two of them, the name and an empty value: the
// parser takes it for a name whose value is the next argument. Nothing behind "--" is changed.
std::vector<std::string> SplitEmptyValues(std::span<const char* const> arguments);

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
size_t EditDistance(std::string_view a, std::string_view b);
// The name nearest to `text`, or "" if none is similar.
std::string NearestName(std::string_view text, std::span<const std::string> names);

}  // namespace quantspec::cli
