#include <algorithm>
#include <utility>

#include "quantspec/text.h"

namespace quantspec {
namespace {

// Bytes at the end of `text` that are a beginning of `stop`.
size_t BegunAtEnd(std::string_view text, std::string_view stop) {
  for (size_t count = std::min(text.size(), stop.size() - 1); count > 0; --count) {
    if (text.substr(text.size() - count) == stop.substr(0, count)) return count;
  }
  return 0;
}

}  // namespace

StopText::StopText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

std::string StopText::Push(std::string_view piece) {
  if (found_) return {};
  held_ += piece;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at >= first) continue;
    first = at;
    which_ = stop;
  }
  size_t shown = first;
  if (first != std::string::npos) {
    found_ = true;
  } else {
    size_t begun = 0;
    for (const std::string& stop : stops_) begun = std::max(begun, BegunAtEnd(held_, stop));
    shown = held_.size() - begun;
  }
  std::string text = held_.substr(0, shown);
  held_.erase(0, found_ ? held_.size() : shown);
  return text;
}

std::string StopText::Finish() { return std::exchange(held_, {}); }

}  // namespace quantspec
