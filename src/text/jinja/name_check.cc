#include "text/jinja/name_check.h"

#include "text/jinja/filters.h"
#include "text/jinja/lexer.h"
#include "text/jinja/literals.h"

namespace quantspec::jinja {
namespace {

class Checker {
 public:
  void Check(const Body& body, bool is_lenient) {
    for (const Statement& statement : body) Check(statement, is_lenient);
  }

 private:
  void Check(const Statement& statement, bool is_lenient) {
    // Bodies with a scope of their own are strict again, as in jinja2.
    constexpr bool inner = false;
    Check(statement.expression.get(), is_lenient);
    for (const ExpressionPtr& part : statement.more) Check(part.get(), is_lenient);
    Check(statement.condition.get(), false);
    for (const auto& [target, value] : statement.bindings) Check(value.get(), is_lenient);
    for (const Parameter& parameter : statement.parameters) Check(parameter.otherwise.get(), false);
    for (const Branch& branch : statement.branches) {
      Check(branch.condition.get(), true);
      Check(branch.body, true);
    }
    Check(statement.body, inner);
    Check(statement.otherwise, inner);
  }

  void Check(const Expression* expression, bool is_lenient) {
    if (expression == nullptr) return;
    const bool is_filter = expression->kind == ExpressionKind::kFilter;
    if (is_filter || expression->kind == ExpressionKind::kTest) {
      const bool exists = is_filter ? HasFilter(expression->name) : HasTest(expression->name);
      if (!exists && !is_lenient) {
        throw SyntaxFailure{expression->line,
                            std::string("found the ") + (is_filter ? "filter " : "test ") +
                                Quote(expression->name) + ", which does not exist"};
      }
    }
    const bool inner = is_lenient || expression->kind == ExpressionKind::kConditional;
    for (const ExpressionPtr& part : expression->parts) Check(part.get(), inner);
    for (const ExpressionPtr& part : expression->positional) Check(part.get(), inner);
    for (const auto& [name, part] : expression->named) Check(part.get(), inner);
    Check(expression->more_positional.get(), inner);
    Check(expression->more_named.get(), inner);
  }
};

}  // namespace

void CheckNames(const Body& body) { Checker().Check(body, /*is_lenient=*/false); }

}  // namespace quantspec::jinja
