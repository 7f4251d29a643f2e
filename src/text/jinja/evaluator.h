// Runs a template's tree.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/scope.h"

namespace quantspec::jinja {

class Evaluator : public Runtime {
 public:
  Evaluator(const Limits& limits, std::time_t now) : Runtime(limits, now) {}

  // Throws Failure; line() is where it happened then.
  MarkedText Run(const Body& body, const std::vector<std::pair<std::string, Value>>& variables);
  int line() const { return line_; }

 private:
  friend class Macro;
  using ScopePtr = std::shared_ptr<Scope>;
  enum class Flow { kNext, kBreak, kContinue };

  // Statements.
  Flow Execute(const Body& body);
  Flow Execute(const Statement& statement);
  Flow ExecuteIf(const Statement& statement);
  // A break or continue that is not its own comes from its `else` and means the loop around.
  Flow ExecuteLoop(const Statement& statement, const Value& over, int depth);
  // Runs `body` in a scope of its own; `use` takes what it wrote, unless it was left before its
  // end.
  template <typename Use>
  Flow ExecuteCaptured(const Body& body, const Use& use);
  Flow ExecuteWith(const Statement& statement);
  void ExecuteCall(const Statement& statement);
  void Assign(const Target& target, const Value& value, Scope& scope);
  Value MakeMacro(const Statement& statement);
  Value CallMacro(const Statement& macro, const ScopePtr& scope, const Arguments& arguments);
  void BindParameters(const Statement& macro, const Arguments& arguments);
  void Write(const MarkedText& text);

  // Expressions.
  Value Evaluate(const Expression& expression);
  Value EvaluateOrNone(const ExpressionPtr& expression);
  Value EvaluateName(const std::string& name);
  Value EvaluateParts(const Expression& expression);
  Value EvaluateSlice(const Expression& expression);
  Value EvaluateAndOr(const Expression& expression);
  Value EvaluateArithmetic(const Expression& expression);
  Value EvaluateComparison(const Expression& expression);
  Value EvaluateJoin(const Expression& expression);
  Value EvaluateConditional(const Expression& expression);
  Value EvaluateCall(const Expression& expression, Arguments arguments);
  Value EvaluateFilter(const Expression& expression, const Value& value);
  Value EvaluateDict(const Expression& expression);
  Arguments EvaluateArguments(const Expression& expression);
  // Filters of a block, applied to what it wrote.
  Value FilterBlock(const Expression* filters, MarkedText text);

  ScopePtr scope_;
  MarkedText* out_ = nullptr;
  int line_ = 1;
};

}  // namespace quantspec::jinja
