// Chat templates are programs in the language of Python's jinja2, set up as Hugging Face's
// transformers does: trim_blocks, lstrip_blocks, an immutable sandbox, loop controls.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/marked_text.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace quantspec::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

// Immutable and safe to share between threads.
class Template {
 public:
  // `name` begins messages. Throws Error{kUnsupported} that names the line and what was found.
  Template(std::string_view source, std::string name);
  ~Template();
  Template(Template&&) noexcept;

  // Pure but for the clock, which `now` stands for. Throws Error{kUsage} that names the line for
  // what the template refuses or does wrong, and where a limit is reached.
  MarkedText Render(const Variables& variables, const Limits& limits, std::time_t now) const;

 private:
  struct Tree;
  std::string name_;
  std::unique_ptr<const Tree> tree_;
};

}  // namespace quantspec::jinja
