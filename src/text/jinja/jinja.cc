#include "text/jinja/jinja.h"

#include "quantspec/error.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/parser.h"

namespace quantspec::jinja {

struct Template::Tree {
  Body body;
};

Template::Template(std::string_view source, std::string name) : name_(std::move(name)) {
  try {
    tree_ = std::make_unique<const Tree>(Tree{Parse(source)});
  } catch (const SyntaxFailure& failure) {
    throw Error(ErrorKind::kUnsupported,
                name_ + ": line " + std::to_string(failure.line) + ": " + failure.message);
  }
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;

MarkedText Template::Render(const Variables& variables, const Limits& limits,
                            std::time_t now) const {
  Evaluator evaluator(limits, now);
  try {
    return evaluator.Run(tree_->body, variables);
  } catch (const Failure& failure) {
    throw Error(ErrorKind::kUsage,
                name_ + ": line " + std::to_string(evaluator.line()) + ": " + failure.what());
  }
}

}  // namespace quantspec::jinja
