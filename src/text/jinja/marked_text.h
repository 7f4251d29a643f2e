// Text that remembers which of its bytes a template wrote and which came in with values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quantspec::jinja {

enum class Origin : uint8_t {
  kTemplate,  // written by the template, or by us
  kValue,     // data of the conversation: never a special token
};

class MarkedText {
 public:
  struct Run {
    size_t end;  // the run begins where the one before it ends
    Origin origin;
  };

  MarkedText() = default;
  MarkedText(std::string_view bytes, Origin origin) { Append(bytes, origin); }

  const std::string& bytes() const { return bytes_; }
  const std::vector<Run>& runs() const { return runs_; }  // neighbours differ in origin
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Of text that Python would hold as Markup: joining it with other text escapes that one.
  bool is_markup() const { return is_markup_; }
  void set_markup(bool is_markup) { is_markup_ = is_markup; }

  void Append(std::string_view bytes, Origin origin);
  void Append(const MarkedText& other);
  // Bytes [begin, end).
  MarkedText Slice(size_t begin, size_t end) const;
  void AppendSlice(const MarkedText& other, size_t begin, size_t end);
  // kValue if any byte of [begin, end) is.
  Origin OriginOf(size_t begin, size_t end) const;
  Origin origin() const { return OriginOf(0, size()); }

 private:
  std::string bytes_;
  std::vector<Run> runs_;
  bool is_markup_ = false;
};

}  // namespace quantspec::jinja
