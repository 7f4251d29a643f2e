// Python's two ways to put values into a text: "%s" % x and "{}".format(x).

#include <algorithm>
#include <cmath>

#include "text/jinja/characters.h"
#include "text/jinja/filters.h"
#include "text/jinja/format_number.h"
#include "text/jinja/literals.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const MarkedText& text, const Value& arguments)
      : runtime_(runtime), text_(text), arguments_(arguments) {
    const List* list = arguments.list();
    is_tuple_ = list != nullptr && list->kind == ListKind::kTuple;
  }

  Value Run() {
    const std::string& bytes = text_.bytes();
    for (size_t at = 0; at < bytes.size();) {
      const size_t mark = std::min(bytes.find('%', at), bytes.size());
      out_.AppendSlice(text_, at, mark);
      at = mark == bytes.size() ? mark : Field(mark + 1);
    }
    const size_t given = is_tuple_ ? arguments_.list()->items.size() : 1;
    if (used_ < given && (is_tuple_ || arguments_.dict() == nullptr)) {
      throw Failure("%: found more values than places for them");
    }
    return runtime_.Text(std::move(out_));
  }

 private:
  const Value& NextArgument() {
    const size_t given = is_tuple_ ? arguments_.list()->items.size() : 1;
    if (used_ >= given) throw Failure("%: found fewer values than places for them");
    return is_tuple_ ? arguments_.list()->items[used_++] : (++used_, arguments_);
  }

  size_t Field(size_t at) {
    const std::string_view bytes = text_.bytes();
    const Value* value = nullptr;
    if (at < bytes.size() && bytes[at] == '(') {
      const size_t end = bytes.find(')', at);
      if (end == std::string_view::npos) throw Failure("%: found '(' without ')'");
      if (arguments_.dict() == nullptr) throw Failure("%: found a name, expected a dict of values");
      value = arguments_.dict()->Find(bytes.substr(at + 1, end - at - 1));
      if (value == nullptr) throw Failure("%: found a name that the dict does not have");
      at = end + 1;
    }
    FormatSpec spec;
    spec.align = '>';
    for (; at < bytes.size() && std::string_view("-+ #0").find(bytes[at]) != std::string_view::npos;
         ++at) {
      if (bytes[at] == '-') spec.align = '<';
      if (bytes[at] == '+') spec.sign = '+';
      if (bytes[at] == ' ' && spec.sign != '+') spec.sign = ' ';
      if (bytes[at] == '#') spec.alternate = true;
      if (bytes[at] == '0' && spec.align != '<') {
        spec.align = '=';
        spec.fill = "0";
      }
    }
    if (spec.align == '<') spec.fill = " ";
    spec.width = ReadNumber(bytes, &at, 0);
    if (at < bytes.size() && bytes[at] == '.') spec.precision = ReadNumber(bytes, &++at, 0);
    if (at >= bytes.size()) throw Failure("%: found the end of the text in a field");
    if (bytes[at] == '%') {
      out_.Append("%", Origin::kTemplate);
      return at + 1;
    }
    Put(bytes[at], value == nullptr ? NextArgument() : *value, spec);
    return at + 1;
  }

  void Put(char type, const Value& value, FormatSpec spec) {
    if (type == 's' || type == 'r') {
      if (spec.align == '=') spec.align = '>', spec.fill = " ";
      const MarkedText text = type == 's' ? TextOf(value) : Represent(value);
      return out_.Append(FormatValue(runtime_, Value(text), spec));
    }
    CheckDefined(value);
    if (std::string_view("dixXofFeEgG").find(type) == std::string_view::npos ||
        !value.is_number()) {
      throw Failure(std::string("%: found a ") + value.TypeName() + " for '%" + type +
                    "', expected a number");
    }
    const bool is_float_type = std::string_view("fFeEgG").find(type) != std::string_view::npos;
    spec.type = type == 'i' ? 'd' : type;
    if (is_float_type) return out_.Append(FormatValue(runtime_, value, spec));
    if (value.is_float() && !(std::fabs(value.number()) < 9e18)) {
      throw Failure("%: found a number beyond 64 bits");
    }
    const int64_t precision = std::exchange(spec.precision, -1);
    const int64_t whole = value.is_float() ? static_cast<int64_t>(value.number()) : value.whole();
    if (precision > 0 && precision > spec.width) {
      spec.width = precision + (whole < 0 ? 1 : 0);
      spec.fill = "0";
      spec.align = '=';
    }
    out_.Append(FormatValue(runtime_, Value(whole), spec));
  }

  Runtime& runtime_;
  const MarkedText& text_;
  const Value& arguments_;
  bool is_tuple_ = false;
  size_t used_ = 0;
  MarkedText out_;
};

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& arguments)
      : runtime_(runtime), arguments_(arguments) {}

  MarkedText Run(const MarkedText& text, int depth) {
    if (depth > 2) throw Failure("format: found fields nested too deeply");
    const std::string_view bytes = text.bytes();
    MarkedText out;
    for (size_t at = 0; at < bytes.size();) {
      const size_t mark = std::min(bytes.find_first_of("{}", at), bytes.size());
      out.AppendSlice(text, at, mark);
      if (mark == bytes.size()) break;
      if (bytes.substr(mark + 1, 1) == bytes.substr(mark, 1)) {
        out.AppendSlice(text, mark, mark + 1);
        at = mark + 2;
        continue;
      }
      if (bytes[mark] == '}') throw Failure("format: found '}' without '{'");
      size_t end = mark + 1;
      for (int open = 1; end < bytes.size(); ++end) {
        open += bytes[end] == '{' ? 1 : bytes[end] == '}' ? -1 : 0;
        if (open == 0) break;
      }
      if (end >= bytes.size()) throw Failure("format: found '{' without '}'");
      out.Append(Field(text.Slice(mark + 1, end), depth));
      at = end + 1;
    }
    return out;
  }

 private:
  MarkedText Field(const MarkedText& field, int depth) {
    const std::string_view bytes = field.bytes();
    const size_t colon = std::min(bytes.find(':'), bytes.size());
    std::string_view name = bytes.substr(0, colon);
    const size_t mark = std::min(name.find('!'), name.size());
    const std::string_view conversion = name.substr(mark);
    name = name.substr(0, mark);
    Value value = Resolve(name);
    if (conversion == "!r") {
      value = Value(Represent(value));
    } else if (conversion == "!s") {
      value = Value(TextOf(value));
    } else if (!conversion.empty()) {
      throw Failure("format: found the conversion " + Quote(conversion) + ", expected !s or !r");
    }
    const size_t begin = std::min(colon + 1, bytes.size());
    const MarkedText spec = Run(field.Slice(begin, bytes.size()), depth + 1);
    return FormatValue(runtime_, value, ParseFormatSpec(spec.bytes()));
  }

  // "0", "name", "", with ".attribute" and "[key]" behind.
  Value Resolve(std::string_view path) {
    const size_t end = std::min(path.find_first_of(".["), path.size());
    Value value = Argument(path.substr(0, end));
    for (size_t at = end; at < path.size();) {
      const bool is_item = path[at] == '[';
      const size_t stop =
          is_item ? path.find(']', at) : std::min(path.find_first_of(".[", at + 1), path.size());
      if (stop == std::string_view::npos) throw Failure("format: found '[' without ']'");
      const std::string name(path.substr(at + 1, stop - at - 1));
      size_t digits = 0;
      const int64_t index = ReadNumber(name, &digits, -1);
      value = !is_item ? GetAttribute(runtime_, value, name)
              : digits == name.size() && index >= 0
                  ? GetItem(runtime_, value, Value(index))
                  : GetItem(runtime_, value, Value(name, Origin::kTemplate));
      CheckDefined(value);
      at = stop + (is_item ? 1 : 0);
    }
    return value;
  }

  Value Argument(std::string_view name) {
    size_t digits = 0;
    const int64_t index = name.empty() ? next_++ : ReadNumber(name, &digits, -1);
    if (digits == name.size() && index >= 0) {
      if (index < static_cast<int64_t>(arguments_.positional.size())) {
        return arguments_.positional[static_cast<size_t>(index)];
      }
      throw Failure("format: found fewer values than places for them");
    }
    for (const auto& [known, value] : arguments_.named) {
      if (known == name) return value;
    }
    throw Failure("format: found the name " + Quote(name) + ", which no argument has");
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  int64_t next_ = 0;
};

}  // namespace

Value FormatPercent(Runtime& runtime, const MarkedText& text, const Value& arguments) {
  return PercentFormatter(runtime, text, arguments).Run();
}

Value FormatBraces(Runtime& runtime, const MarkedText& text, const Arguments& arguments) {
  return runtime.Text(BraceFormatter(runtime, arguments).Run(text, 0));
}

}  // namespace quantspec::jinja
