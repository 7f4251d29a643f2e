#include "text/jinja/marked_text.h"

#include <algorithm>

namespace quantspec::jinja {

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
  const auto first = std::upper_bound(other.runs_.begin(), other.runs_.end(), begin,
                                      [](size_t at, const Run& run) { return at < run.end; });
  for (auto run = first; run != other.runs_.end() && begin < end; ++run) {
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
  size_t from = 0;
  for (const Run& run : runs_) {
    if (run.origin == Origin::kValue && from < end && run.end > begin) return Origin::kValue;
    from = run.end;
  }
  return Origin::kTemplate;
}

}  // namespace quantspec::jinja
