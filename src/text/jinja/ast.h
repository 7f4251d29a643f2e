// A template's tree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace quantspec::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class ExpressionKind : uint8_t {
  kConstant,
  kName,
  kList,
  kTuple,
  kDict,       // parts: key, value, key, value, ...
  kAttribute,  // parts[0].name
  kItem,       // parts[0][parts[1]]
  kSlice,      // parts[0][parts[1]:parts[2]:parts[3]], null where left out
  kCall,       // parts[0](arguments)
  kFilter,     // parts[0] | name(arguments); parts[0] is null in a block's first filter
  kTest,       // parts[0] is name(arguments)
  kNot,
  kNegate,
  kPlus,  // + parts[0]
  kAnd,   // of all parts
  kOr,
  kJoin,         // parts joined with ~
  kArithmetic,   // parts[0] operators[0] parts[1] operators[1] ..., from left to right
  kComparison,   // the same, as Python chains them
  kConditional,  // parts[0] if parts[1] else parts[2], which may be null
};

struct Expression {
  ExpressionKind kind;
  int line;
  Value value;
  std::string name;
  std::vector<std::string> operators;
  std::vector<ExpressionPtr> parts;
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr more_positional, more_named;  // *x and **x
};

// Where an assignment goes.
struct Target {
  enum class Kind : uint8_t { kName, kAttribute, kTuple } kind = Kind::kName;
  std::string name;
  std::string attribute;  // of the namespace `name`
  std::vector<Target> parts;
};

struct Statement;
using Body = std::vector<Statement>;

struct Parameter {
  std::string name;
  ExpressionPtr otherwise;  // null: undefined where it is not given
};

enum class StatementKind : uint8_t {
  kData,
  kPrint,
  kIf,  // branches, the last one perhaps without a condition
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCall,  // a macro called with a body
  kFilter,
  kWith,
  kScope,  // a body of its own scope
  kBreak,
  kContinue,
};

struct Branch;

struct Statement {
  StatementKind kind;
  int line;
  std::string text;  // data; a macro's name
  ExpressionPtr expression;
  std::vector<ExpressionPtr> more;  // kPrint: what is printed behind it
  ExpressionPtr condition;          // kFor: of the elements that count
  Target target;
  std::vector<std::pair<Target, ExpressionPtr>> bindings;  // kWith
  std::vector<Parameter> parameters;
  Body body;
  Body otherwise;  // kFor: without elements
  std::vector<Branch> branches;
  bool is_recursive = false;
  // Which special names the body of a macro reads.
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};

struct Branch {
  ExpressionPtr condition;  // null: else
  Body body;
};

}  // namespace quantspec::jinja
