#include "text/jinja/marked_text.h"

#include <algorithm>

namespace quantspec::jinja {
namespace {

using Run = MarkedText::Run;

// The run that the byte at `at` belongs to.
std::vector<Run>::const_iterator RunAt(const std::vector<Run>& runs, size_t at) {
  return std::upper_bound(runs.begin(), runs.end(), at,
                          [](size_t place, const Run& run) { return place < run.end; });
}

}  // namespace

void MarkedText::Append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().origin == origin) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), origin});
  }
}

void MarkedText::Append(const MarkedText& other) { AppendSlice(other, 0, other.size()); }

void MarkedText::AppendSlice(const MarkedText& other, size_t begin, size_t end) {
  for (auto run = RunAt(other.runs_, begin); run != other.runs_.end() && begin < end; ++run) {
    const size_t stop = std::min(run->end, end);
    Append(std::string_view(other.bytes_).substr(begin, stop - begin), run->origin);
    begin = stop;
  }
}

MarkedText MarkedText::Slice(size_t begin, size_t end) const {
  MarkedText slice;
  slice.AppendSlice(*this, begin, end);
  slice.is_markup_ = is_markup_;
  return slice;
}

Origin MarkedText::OriginOf(size_t begin, size_t end) const {
  const auto run = RunAt(runs_, begin);
  if (begin >= end || run == runs_.end()) return Origin::kTemplate;
  return end <= run->end ? run->origin : Origin::kValue;  // one of two neighbours is of values
}

}  // namespace quantspec::jinja
