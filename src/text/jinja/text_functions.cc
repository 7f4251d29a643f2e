// What methods of texts and filters share.

#include <algorithm>

#include "text/jinja/characters.h"
#include "text/jinja/methods.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

bool IsLineEnd(uint32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

}  // namespace

MarkedText Strip(const MarkedText& text, const MarkedText* characters, bool left, bool right) {
  if (characters == nullptr) {
    const std::string_view bytes = text.bytes();
    const size_t end = right ? StripRight(bytes).size() : bytes.size();
    const size_t begin = left ? std::min(SpacePrefix(bytes), end) : 0;
    return text.Slice(begin, end);
  }
  const std::vector<Character> set = Characters(characters->bytes());
  const std::vector<Character> all = Characters(text.bytes());
  const auto is_in = [&](const Character& one) {
    const std::string_view bytes =
        std::string_view(text.bytes()).substr(one.begin, one.end - one.begin);
    return std::any_of(set.begin(), set.end(), [&](const Character& other) {
      return std::string_view(characters->bytes()).substr(other.begin, other.end - other.begin) ==
             bytes;
    });
  };
  size_t begin = 0, end = all.size();
  while (left && begin < end && is_in(all[begin])) ++begin;
  while (right && begin < end && is_in(all[end - 1])) --end;
  return begin == end ? text.Slice(0, 0) : text.Slice(all[begin].begin, all[end - 1].end);
}

Value Replace(Runtime& runtime, const MarkedText& text, const MarkedText& from,
              const MarkedText& to, int64_t count) {
  MarkedText out;
  int64_t done = 0;
  const auto may_go_on = [&] { return count < 0 || done++ < count; };
  const auto add = [&](size_t begin, size_t end) {
    runtime.Bytes(end - begin + to.size());
    out.AppendSlice(text, begin, end);
  };
  if (from.empty()) {
    size_t at = 0;
    for (const Character& one : Characters(text.bytes())) {
      if (!may_go_on()) break;
      runtime.Step();
      out.Append(to);
      add(one.begin, one.end);
      at = one.end;
    }
    if (at == text.size() && may_go_on()) out.Append(to);
    add(at, text.size());
    return Value(std::move(out));
  }
  size_t at = 0;
  for (size_t found = text.bytes().find(from.bytes()); found != std::string::npos && may_go_on();
       found = text.bytes().find(from.bytes(), at)) {
    add(at, found);
    out.Append(to);
    at = found + from.size();
  }
  add(at, text.size());
  return Value(std::move(out));
}

Values SplitLines(Runtime& runtime, const MarkedText& text, bool keeps_ends) {
  Values lines;
  const std::vector<Character> all = Characters(text.bytes());
  size_t begin = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!IsLineEnd(all[i].code)) continue;
    const size_t end = all[i].begin;
    if (all[i].code == '\r' && i + 1 < all.size() && all[i + 1].code == '\n') ++i;
    lines.push_back(runtime.Text(text.Slice(begin, keeps_ends ? all[i].end : end)));
    begin = all[i].end;
  }
  if (begin < text.size()) lines.push_back(runtime.Text(text.Slice(begin, text.size())));
  return lines;
}

Value JoinParts(Runtime& runtime, const Values& parts, const MarkedText& separator) {
  MarkedText joined;
  for (size_t i = 0; i < parts.size(); ++i) {
    CheckDefined(parts[i]);
    if (!parts[i].is_text()) {
      throw Failure("join: found a " + parts[i].TypeName() + " at " + std::to_string(i) +
                    ", expected texts");
    }
    runtime.Bytes(parts[i].text().size() + separator.size());
    if (i > 0) joined.Append(separator);
    joined.Append(parts[i].text());
  }
  return Value(std::move(joined));
}

}  // namespace quantspec::jinja
