// How expressions are evaluated.

#include "text/jinja/evaluator.h"
#include "text/jinja/filters.h"
#include "text/jinja/literals.h"
#include "text/jinja/methods.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {

Value Evaluator::Evaluate(const Expression& expression) {
  const DepthGuard guard(*this);
  Step();
  line_ = expression.line;
  switch (expression.kind) {
    case ExpressionKind::kConstant:
      return expression.value;
    case ExpressionKind::kName:
      return EvaluateName(expression.name);
    case ExpressionKind::kList:
    case ExpressionKind::kTuple:
      return EvaluateParts(expression);
    case ExpressionKind::kDict:
      return EvaluateDict(expression);
    case ExpressionKind::kAttribute:
      return GetAttribute(*this, Evaluate(*expression.parts[0]), expression.name);
    case ExpressionKind::kItem: {
      const Value value = Evaluate(*expression.parts[0]);
      return GetItem(*this, value, Evaluate(*expression.parts[1]));
    }
    case ExpressionKind::kSlice:
      return EvaluateSlice(expression);
    case ExpressionKind::kCall:
      return EvaluateCall(expression, {});
    case ExpressionKind::kFilter:
      return EvaluateFilter(expression, Evaluate(*expression.parts[0]));
    case ExpressionKind::kTest: {
      const Value value = Evaluate(*expression.parts[0]);
      return Value(ApplyTest(*this, expression.name, value, EvaluateArguments(expression)));
    }
    case ExpressionKind::kNot:
      return Value(!Truth(Evaluate(*expression.parts[0])));
    case ExpressionKind::kNegate:
      return Negate(Evaluate(*expression.parts[0]));
    case ExpressionKind::kPlus:
      return Negate(Negate(Evaluate(*expression.parts[0])));
    case ExpressionKind::kAnd:
    case ExpressionKind::kOr:
      return EvaluateAndOr(expression);
    case ExpressionKind::kJoin:
      return EvaluateJoin(expression);
    case ExpressionKind::kArithmetic:
      return EvaluateArithmetic(expression);
    case ExpressionKind::kComparison:
      return EvaluateComparison(expression);
    case ExpressionKind::kConditional:
      return EvaluateConditional(expression);
  }
  return Value();
}

Value Evaluator::EvaluateSlice(const Expression& expression) {
  const Value value = Evaluate(*expression.parts[0]);
  const Value begin = EvaluateOrNone(expression.parts[1]);
  const Value end = EvaluateOrNone(expression.parts[2]);
  return Slice(*this, value, begin, end, EvaluateOrNone(expression.parts[3]));
}

Value Evaluator::EvaluateAndOr(const Expression& expression) {
  Value value;
  for (const ExpressionPtr& part : expression.parts) {
    value = Evaluate(*part);
    if (Truth(value) == (expression.kind == ExpressionKind::kOr)) break;
  }
  return value;
}

Value Evaluator::EvaluateOrNone(const ExpressionPtr& expression) {
  return expression ? Evaluate(*expression) : Value();
}

Value Evaluator::EvaluateName(const std::string& name) {
  const Value* found = scope_->Find(name);
  return found != nullptr ? *found : FindGlobal(*this, name);
}

Value Evaluator::EvaluateParts(const Expression& expression) {
  Values parts;
  for (const ExpressionPtr& part : expression.parts) parts.push_back(Evaluate(*part));
  return Items(std::move(parts),
               expression.kind == ExpressionKind::kTuple ? ListKind::kTuple : ListKind::kList);
}

Value Evaluator::EvaluateDict(const Expression& expression) {
  const auto dict = std::make_shared<Dict>();
  for (size_t i = 0; i + 1 < expression.parts.size(); i += 2) {
    const Value key = Evaluate(*expression.parts[i]);
    Step(static_cast<int64_t>(i / 16));
    dict->Set(key, Evaluate(*expression.parts[i + 1]));
  }
  return Value(dict);
}

Value Evaluator::EvaluateArithmetic(const Expression& expression) {
  Value value = Evaluate(*expression.parts[0]);
  for (size_t i = 1; i < expression.parts.size(); ++i) {
    const Value other = Evaluate(*expression.parts[i]);
    line_ = expression.parts[i]->line;
    value = Calculate(*this, expression.operators[i - 1], value, other);
  }
  return value;
}

Value Evaluator::EvaluateComparison(const Expression& expression) {
  Value left = Evaluate(*expression.parts[0]);
  for (size_t i = 1; i < expression.parts.size(); ++i) {
    Value right = Evaluate(*expression.parts[i]);
    line_ = expression.line;
    if (!Compare(*this, expression.operators[i - 1], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Evaluator::EvaluateJoin(const Expression& expression) {
  MarkedText joined;
  for (const ExpressionPtr& part : expression.parts) {
    const MarkedText text = TextOf(Evaluate(*part));
    Bytes(text.size());
    joined.Append(text);
  }
  return Value(std::move(joined));
}

Value Evaluator::EvaluateConditional(const Expression& expression) {
  if (Truth(Evaluate(*expression.parts[1]))) return Evaluate(*expression.parts[0]);
  if (expression.parts[2]) return Evaluate(*expression.parts[2]);
  return Value::MakeUndefined("found an inline 'if' without 'else' whose condition is false");
}

Arguments Evaluator::EvaluateArguments(const Expression& expression) {
  Arguments arguments;
  for (const ExpressionPtr& part : expression.positional) {
    arguments.positional.push_back(Evaluate(*part));
  }
  for (const auto& [name, part] : expression.named) arguments.AddNamed(name, Evaluate(*part));
  if (expression.more_positional) {
    for (Value& value : Elements(*this, Evaluate(*expression.more_positional))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  if (expression.more_named) {
    const Value more = Evaluate(*expression.more_named);
    CheckDefined(more);
    if (more.dict() == nullptr)
      throw Failure("found ** before a " + more.TypeName() + ", expected a dict");
    const auto count = static_cast<int64_t>(more.dict()->items.size());
    Step(count * (1 + count / 16));
    for (const auto& [name, value] : more.dict()->items) {
      if (!name.is_text()) throw Failure("found a key that is no text behind **");
      arguments.AddNamed(name.bytes(), value);
    }
  }
  line_ = expression.line;
  return arguments;
}

Value Evaluator::EvaluateCall(const Expression& expression, Arguments more) {
  const Expression& function = *expression.parts[0];
  Value self;
  // A method needs no object of its own to be called.
  const bool is_method = function.kind == ExpressionKind::kAttribute;
  if (is_method) {
    self = Evaluate(*function.parts[0]);
    CheckDefined(self);
  }
  const bool is_bound = is_method && self.object() == nullptr && HasMethod(self, function.name);
  const Value callee = is_bound    ? Value()
                       : is_method ? GetAttribute(*this, self, function.name)
                                   : Evaluate(function);
  Arguments arguments = EvaluateArguments(expression);
  for (auto& [name, value] : more.named) arguments.AddNamed(name, std::move(value));
  if (is_bound) return CallMethod(*this, self, function.name, arguments);
  CheckDefined(callee);
  if (callee.object() == nullptr) {
    throw Failure("found a call of a " + callee.TypeName() + ", expected a function");
  }
  const DepthGuard guard(*this);
  return callee.object()->Call(*this, arguments);
}

Value Evaluator::EvaluateFilter(const Expression& expression, const Value& value) {
  const Arguments arguments = EvaluateArguments(expression);
  return ApplyFilter(*this, expression.name, value, arguments);
}

Value Evaluator::FilterBlock(const Expression* filters, MarkedText text) {
  if (filters == nullptr) return Value(std::move(text));
  const Expression* inner = filters->parts[0].get();
  return EvaluateFilter(*filters, FilterBlock(inner, std::move(text)));
}

}  // namespace quantspec::jinja
