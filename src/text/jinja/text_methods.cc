// Methods that make new texts out of a text.

#include <algorithm>

#include "text/jinja/characters.h"
#include "text/jinja/method_tables.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

Value StripWith(const char* name, const Value& self, const Arguments& arguments, bool left,
                bool right) {
  const Bound bound(name, arguments, {"chars"});
  const bool has_set = bound[0] != nullptr && !bound[0]->is_none();
  return Value(Strip(self.text(), has_set ? bound.Text(0) : nullptr, left, right));
}

Value StripBoth(Runtime&, const Value& self, const Arguments& arguments) {
  return StripWith("strip", self, arguments, true, true);
}
Value StripLeft(Runtime&, const Value& self, const Arguments& arguments) {
  return StripWith("lstrip", self, arguments, true, false);
}
Value StripEnd(Runtime&, const Value& self, const Arguments& arguments) {
  return StripWith("rstrip", self, arguments, false, true);
}

// Words between white space, at most `limit` cuts (below 0: any), from the left or the right.
Values SplitWords(Runtime& runtime, const MarkedText& text, int64_t limit, bool from_right) {
  Values words;
  const std::vector<Character> all = Characters(text.bytes());
  const size_t count = all.size();
  // Places count from the side where the cutting begins.
  const auto at = [&](size_t i) -> const Character& { return all[from_right ? count - 1 - i : i]; };
  const auto slice = [&](size_t first, size_t last) {
    const Character &a = at(first), &b = at(last);
    words.push_back(
        runtime.Text(from_right ? text.Slice(b.begin, a.end) : text.Slice(a.begin, b.end)));
  };
  for (size_t i = 0; i < count;) {
    if (IsSpaceCode(at(i).code)) {
      ++i;
      continue;
    }
    size_t end = i;
    if (limit >= 0 && static_cast<int64_t>(words.size()) == limit) {
      slice(i, count - 1);
      break;
    }
    while (end < count && !IsSpaceCode(at(end).code)) ++end;
    slice(i, end - 1);
    i = end;
  }
  if (from_right) std::reverse(words.begin(), words.end());
  return words;
}

Values SplitAt(Runtime& runtime, const MarkedText& text, const MarkedText& separator, int64_t limit,
               bool from_right) {
  if (separator.empty()) throw Failure("split: found an empty separator, expected a text");
  Values parts;
  const std::string& bytes = text.bytes();
  size_t begin = 0, end = bytes.size();
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    if (from_right) {
      if (end < separator.size()) break;
      const size_t found = bytes.rfind(separator.bytes(), end - separator.size());
      if (found == std::string::npos) break;
      parts.push_back(runtime.Text(text.Slice(found + separator.size(), end)));
      end = found;
    } else {
      const size_t found = bytes.find(separator.bytes(), begin);
      if (found == std::string::npos) break;
      parts.push_back(runtime.Text(text.Slice(begin, found)));
      begin = found + separator.size();
    }
    runtime.Step();
  }
  parts.push_back(runtime.Text(text.Slice(begin, end)));
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

Value SplitWith(Runtime& runtime, const char* name, const Value& self, const Arguments& arguments,
                bool from_right) {
  const Bound bound(name, arguments, {"sep", "maxsplit"});
  const int64_t limit = bound.Whole(1, -1);
  const bool by_words = bound[0] == nullptr || bound[0]->is_none();
  return runtime.Items(by_words ? SplitWords(runtime, self.text(), limit, from_right)
                                : SplitAt(runtime, self.text(), *bound.Text(0), limit, from_right));
}

Value Split(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return SplitWith(runtime, "split", self, arguments, false);
}
Value SplitRight(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return SplitWith(runtime, "rsplit", self, arguments, true);
}

Value Lines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  return runtime.Items(SplitLines(runtime, self.text(), bound.Flag(0, false)));
}

Value PartitionAt(Runtime& runtime, const char* name, const Value& self, const Arguments& arguments,
                  bool from_right) {
  const Bound bound(name, arguments, {"sep"});
  bound.Need(0);
  const MarkedText& separator = *bound.Text(0);
  Values parts = SplitAt(runtime, self.text(), separator, 1, from_right);
  const Value empty(MarkedText{});
  if (parts.size() == 2) {
    parts.insert(parts.begin() + 1, *bound[0]);
  } else if (from_right) {
    parts.insert(parts.begin(), {empty, empty});
  } else {
    parts.insert(parts.end(), {empty, empty});
  }
  return runtime.Items(std::move(parts), ListKind::kTuple);
}

Value Partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return PartitionAt(runtime, "partition", self, arguments, false);
}
Value PartitionRight(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return PartitionAt(runtime, "rpartition", self, arguments, true);
}

Value ReplaceAll(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"});
  bound.Need(0);
  bound.Need(1);
  return Replace(runtime, self.text(), *bound.Text(0), *bound.Text(1), bound.Whole(2, -1));
}

Value Join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("join", arguments, {"iterable"});
  return JoinParts(runtime, Elements(runtime, bound.Need(0)), self.text());
}

Value RemovePrefix(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound("removeprefix", arguments, {"prefix"});
  bound.Need(0);
  const std::string& prefix = bound.Text(0)->bytes();
  const bool has_it = self.bytes().starts_with(prefix);
  return Value(self.text().Slice(has_it ? prefix.size() : 0, self.text().size()));
}

Value RemoveSuffix(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound("removesuffix", arguments, {"suffix"});
  bound.Need(0);
  const std::string& suffix = bound.Text(0)->bytes();
  const bool has_it = self.bytes().ends_with(suffix);
  return Value(self.text().Slice(0, self.text().size() - (has_it ? suffix.size() : 0)));
}

// Fills up to `width` characters, `left` of the missing ones in front.
Value Pad(Runtime& runtime, const char* name, const Value& self, const Arguments& arguments,
          int64_t (*left)(int64_t missing, int64_t width)) {
  const Bound bound(name, arguments, {"width", "fillchar"});
  bound.Need(0);
  const int64_t width = std::max<int64_t>(bound.Whole(0, 0), 0);
  const int64_t missing = width - Length(self);
  const MarkedText space(" ", Origin::kTemplate);
  const MarkedText& fill = bound[1] != nullptr ? *bound.Text(1) : space;
  if (CountCharacters(fill.bytes()) != 1) {
    throw Failure(std::string(name) + ": found a fill of several characters, expected one");
  }
  if (missing <= 0) return self;
  const int64_t front = left(missing, width);
  MarkedText out = Repeat(runtime, fill, front).text();
  out.Append(self.text());
  out.Append(Repeat(runtime, fill, missing - front).text());
  return runtime.Text(std::move(out));
}

Value PadRight(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Pad(runtime, "ljust", self, arguments, [](int64_t, int64_t) { return int64_t{0}; });
}
Value PadLeft(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Pad(runtime, "rjust", self, arguments, [](int64_t missing, int64_t) { return missing; });
}
Value PadBoth(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Pad(runtime, "center", self, arguments,
             [](int64_t missing, int64_t width) { return missing / 2 + (missing & width & 1); });
}

Value PadZeros(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("zfill", arguments, {"width"});
  bound.Need(0);
  const int64_t missing = std::max<int64_t>(bound.Whole(0, 0), 0) - Length(self);
  if (missing <= 0) return self;
  const std::string& bytes = self.bytes();
  const size_t sign = !bytes.empty() && (bytes[0] == '+' || bytes[0] == '-') ? 1 : 0;
  MarkedText out = self.text().Slice(0, sign);
  out.Append(Repeat(runtime, MarkedText("0", Origin::kTemplate), missing).text());
  out.AppendSlice(self.text(), sign, bytes.size());
  return runtime.Text(std::move(out));
}

Value Format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return FormatBraces(runtime, self.text(), arguments);
}

template <MarkedText (*Change)(const MarkedText&)>
Value Changed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("a method that changes letters", arguments, {});
  return runtime.Text(Change(self.text()));
}
MarkedText Lower(const MarkedText& text) { return ToCase(text, Case::kLower); }
MarkedText Upper(const MarkedText& text) { return ToCase(text, Case::kUpper); }
MarkedText Capital(const MarkedText& text) { return Capitalise(text); }
MarkedText Swapped(const MarkedText& text) { return ToCase(text, Case::kSwapped); }

constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"strip", StripBoth},
    {"lstrip", StripLeft},
    {"rstrip", StripEnd},
    {"split", Split},
    {"rsplit", SplitRight},
    {"splitlines", Lines},
    {"partition", Partition},
    {"rpartition", PartitionRight},
    {"replace", ReplaceAll},
    {"join", Join},
    {"removeprefix", RemovePrefix},
    {"removesuffix", RemoveSuffix},
    {"ljust", PadRight},
    {"rjust", PadLeft},
    {"center", PadBoth},
    {"zfill", PadZeros},
    {"format", Format},
    {"lower", Changed<Lower>},
    {"upper", Changed<Upper>},
    {"swapcase", Changed<Swapped>},
    {"title", Changed<ToTitle>},
    {"capitalize", Changed<Capital>},
};

}  // namespace

Method FindTextMethod(std::string_view name) {
  for (const auto& [known, method] : kMethods) {
    if (known == name) return method;
  }
  return nullptr;
}

}  // namespace quantspec::jinja
