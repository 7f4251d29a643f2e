#include "text/jinja/evaluator.h"

#include "text/jinja/filters.h"
#include "text/jinja/literals.h"
#include "text/jinja/loop.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {

void Runtime::Refuse(const char* what) const {
  throw Failure(std::string("found a template that takes too many ") + what +
                ", expected one that ends");
}

// A macro, or the body of a call block: runs in the scope where it was written.
class Macro : public Object {
 public:
  Macro(Evaluator& evaluator, const Statement& statement, std::shared_ptr<Scope> scope)
      : evaluator_(evaluator),
        statement_(statement),
        scope_(std::move(scope)),
        name_(statement.text, Origin::kTemplate) {}
  std::string TypeName() const override { return "Macro"; }
  const Value* Attribute(std::string_view name) override {
    return name == "name" ? &name_ : nullptr;
  }
  Value Call(Runtime&, const Arguments& arguments) override {
    return evaluator_.CallMacro(statement_, scope_, arguments);
  }

 private:
  Evaluator& evaluator_;
  const Statement& statement_;
  std::shared_ptr<Scope> scope_;
  Value name_;
};

MarkedText Evaluator::Run(const Body& body,
                          const std::vector<std::pair<std::string, Value>>& variables) {
  const auto outer = std::make_shared<Scope>(nullptr);
  for (const auto& [name, value] : variables) outer->Set(name, value);
  scope_ = std::make_shared<Scope>(outer);
  MarkedText out;
  out_ = &out;
  Execute(body);
  return out;
}

void Evaluator::Write(const MarkedText& text) {
  Bytes(text.size());
  out_->Append(text);
}

Evaluator::Flow Evaluator::Execute(const Body& body) {
  for (const Statement& statement : body) {
    const Flow flow = Execute(statement);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::Execute(const Statement& statement) {
  const DepthGuard guard(*this);
  Step();
  line_ = statement.line;
  switch (statement.kind) {
    case StatementKind::kData:
      Bytes(statement.text.size());
      out_->Append(statement.text, Origin::kTemplate);
      break;
    case StatementKind::kPrint:
      Write(TextOf(Evaluate(*statement.expression)));
      for (const ExpressionPtr& part : statement.more) Write(TextOf(Evaluate(*part)));
      break;
    case StatementKind::kIf:
      return ExecuteIf(statement);
    case StatementKind::kFor:
      return ExecuteLoop(statement, Evaluate(*statement.expression), 1);
    case StatementKind::kSet:
      Assign(statement.target, Evaluate(*statement.expression), *scope_);
      break;
    case StatementKind::kSetBlock:
      return ExecuteCaptured(statement.body, [&](MarkedText text) {
        Assign(statement.target, FilterBlock(statement.expression.get(), std::move(text)), *scope_);
      });
    case StatementKind::kMacro:
      scope_->Set(statement.text, MakeMacro(statement));
      break;
    case StatementKind::kCall:
      ExecuteCall(statement);
      break;
    case StatementKind::kFilter:
      return ExecuteCaptured(statement.body, [&](MarkedText text) {
        Write(TextOf(FilterBlock(statement.expression.get(), std::move(text))));
      });
    case StatementKind::kWith:
      return ExecuteWith(statement);
    case StatementKind::kScope:
      return ExecuteCaptured(statement.body, [&](const MarkedText& text) { Write(text); });
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::ExecuteIf(const Statement& statement) {
  for (const Branch& branch : statement.branches) {
    if (!branch.condition || Truth(Evaluate(*branch.condition))) return Execute(branch.body);
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::ExecuteLoop(const Statement& statement, const Value& over, int depth) {
  const ScopePtr outer = scope_;
  Values elements = Elements(*this, over);
  const auto accepts = [this, &statement, outer](const Value& element) {
    if (!statement.condition) return true;
    const ScopePtr before = std::exchange(scope_, std::make_shared<Scope>(outer));
    Assign(statement.target, element, *scope_);
    const bool holds = Truth(Evaluate(*statement.condition));
    scope_ = before;
    return holds;
  };
  const auto recurse = [this, &statement, outer](const Value& value, int inner_depth) {
    MarkedText text;
    MarkedText* const before = std::exchange(out_, &text);
    const ScopePtr scope = std::exchange(scope_, outer);
    ExecuteLoop(statement, value, inner_depth);
    scope_ = scope;
    out_ = before;
    return Value(std::move(text));
  };
  auto* loop = Make<Loop>(std::move(elements), accepts, depth);
  if (statement.is_recursive) loop->set_recurse(recurse);
  bool is_empty = true;
  while (const Value* element = loop->Next()) {
    Step();
    is_empty = false;
    scope_ = std::make_shared<Scope>(outer);
    scope_->Set("loop", Value(loop));
    Assign(statement.target, *element, *scope_);
    const Flow flow = Execute(statement.body);
    if (flow == Flow::kBreak) break;
  }
  loop->Finish();
  Flow flow = Flow::kNext;  // of the loop around
  if (is_empty) {
    scope_ = std::make_shared<Scope>(outer);
    flow = Execute(statement.otherwise);
  }
  scope_ = outer;
  return flow;
}

template <typename Use>
Evaluator::Flow Evaluator::ExecuteCaptured(const Body& body, const Use& use) {
  MarkedText text;
  MarkedText* const before = std::exchange(out_, &text);
  const ScopePtr outer = scope_;
  scope_ = std::make_shared<Scope>(outer);
  const Flow flow = Execute(body);
  scope_ = outer;
  out_ = before;
  if (flow == Flow::kNext) use(std::move(text));
  return flow;
}

Evaluator::Flow Evaluator::ExecuteWith(const Statement& statement) {
  const ScopePtr outer = scope_;
  const auto inner = std::make_shared<Scope>(outer);
  // Values are those of the scope around.
  for (const auto& [target, value] : statement.bindings) Assign(target, Evaluate(*value), *inner);
  scope_ = inner;
  const Flow flow = Execute(statement.body);
  scope_ = outer;
  return flow;
}

void Evaluator::ExecuteCall(const Statement& statement) {
  Arguments caller;
  caller.AddNamed("caller", MakeMacro(statement));
  Write(TextOf(EvaluateCall(*statement.expression, std::move(caller))));
}

void Evaluator::Assign(const Target& target, const Value& value, Scope& scope) {
  if (target.kind == Target::Kind::kName) {
    scope.Set(target.name, value);
    return;
  }
  if (target.kind == Target::Kind::kAttribute) {
    auto* space = dynamic_cast<Namespace*>(EvaluateName(target.name).object());
    if (space == nullptr) {
      throw Failure("found '" + target.name + "." + target.attribute +
                    "' to assign to, expected an attribute of a namespace");
    }
    space->Set(target.attribute, value);
    return;
  }
  CheckDefined(value);
  const Values parts = Elements(*this, value);
  if (parts.size() != target.parts.size()) {
    throw Failure("found " + std::to_string(parts.size()) + " values to assign, expected " +
                  std::to_string(target.parts.size()));
  }
  for (size_t i = 0; i < parts.size(); ++i) Assign(target.parts[i], parts[i], scope);
}

Value Evaluator::MakeMacro(const Statement& statement) {
  return Value(Make<Macro>(*this, statement, scope_));
}

Value Evaluator::CallMacro(const Statement& macro, const ScopePtr& scope,
                           const Arguments& arguments) {
  const ScopePtr before = std::exchange(scope_, std::make_shared<Scope>(scope));
  MarkedText text;
  MarkedText* const out = std::exchange(out_, &text);
  const int line = line_;
  BindParameters(macro, arguments);
  Execute(macro.body);
  line_ = line;
  out_ = out;
  scope_ = before;
  return Value(std::move(text));
}

void Evaluator::BindParameters(const Statement& macro, const Arguments& arguments) {
  const size_t count = macro.parameters.size();
  std::vector<const Value*> given(count, nullptr);
  Values varargs;
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < count) {
      given[i] = &arguments.positional[i];
    } else if (macro.uses_varargs) {
      varargs.push_back(arguments.positional[i]);
    } else {
      throw Failure("macro '" + macro.text + "': found " +
                    std::to_string(arguments.positional.size()) + " values, expected at most " +
                    std::to_string(count));
    }
  }
  const auto kwargs = std::make_shared<Dict>();
  Value caller = Value::MakeUndefined("found no caller: the macro was not called with a block");
  for (const auto& [name, value] : arguments.named) {
    size_t at = 0;
    while (at < count && macro.parameters[at].name != name) ++at;
    if (at < count && given[at] == nullptr) {
      given[at] = &value;
    } else if (at == count && name == "caller" && macro.uses_caller) {
      caller = value;
    } else if (at == count && macro.uses_kwargs) {
      kwargs->Set(Value(name, Origin::kTemplate), value);
    } else {
      throw Failure("macro '" + macro.text + "': found the argument '" + name.substr(0, 60) +
                    "', which it does not take or has already");
    }
  }
  if (macro.uses_caller) scope_->Set("caller", caller);
  if (macro.uses_varargs) scope_->Set("varargs", Items(std::move(varargs), ListKind::kTuple));
  if (macro.uses_kwargs) scope_->Set("kwargs", Value(kwargs));
  for (size_t i = 0; i < count; ++i) {
    const Parameter& parameter = macro.parameters[i];
    if (given[i] != nullptr) {
      scope_->Set(parameter.name, *given[i]);
    } else if (parameter.otherwise) {
      scope_->Set(parameter.name, Evaluate(*parameter.otherwise));
    } else {
      scope_->Set(parameter.name, Value::MakeUndefined("found no value for the parameter '" +
                                                       parameter.name + "' of a macro"));
    }
  }
}

}  // namespace quantspec::jinja
