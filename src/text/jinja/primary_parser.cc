// Literals, what stands behind them, and targets of assignments.

#include "text/jinja/expression_parser.h"
#include "text/jinja/literals.h"

namespace quantspec::jinja {
namespace {

bool IsReserved(std::string_view name) {
  for (const std::string_view word : {"true", "false", "none", "True", "False", "None"}) {
    if (name == word) return true;
  }
  return false;
}

}  // namespace

ExpressionPtr ExpressionParser::ParseName() {
  const LexerToken token = Next();
  const bool is_true = token.text == "true" || token.text == "True";
  auto made = Make(ExpressionKind::kConstant, token.line);
  if (is_true || token.text == "false" || token.text == "False") {
    made->value = Value(is_true);
  } else if (!IsReserved(token.text)) {
    made->kind = ExpressionKind::kName;
    made->name = token.text;
    names_read_.push_back(token.text);
  }
  return made;
}

ExpressionPtr ExpressionParser::ParsePrimary() {
  const LexerToken token = current();
  auto made = Make(ExpressionKind::kConstant, token.line);
  switch (token.kind) {
    case TokenKind::kName:
      return ParseName();
    case TokenKind::kString: {
      std::string text;
      while (current().kind == TokenKind::kString) text += Next().text;
      made->value = Value(text, Origin::kTemplate);
      return made;
    }
    case TokenKind::kInteger:
      made->value = Value(Next().integer);
      return made;
    case TokenKind::kFloat:
      made->value = Value(Next().number);
      return made;
    default:
      break;
  }
  if (SkipOperator("(")) {
    ExpressionPtr inner = ParseTuple(Conditional::kYes, /*in_parentheses=*/true);
    ExpectOperator(")");
    return inner;
  }
  if (IsOperator("[")) return ParseListLiteral();
  if (IsOperator("{")) return ParseDictLiteral();
  Refuse("an expression");
}

ExpressionPtr ExpressionParser::ParseListLiteral() {
  auto made = Make(ExpressionKind::kList, Next().line);
  while (!IsOperator("]")) {
    if (!made->parts.empty()) {
      ExpectOperator(",");
      if (IsOperator("]")) break;
    }
    made->parts.push_back(ParseExpression());
  }
  Next();
  return made;
}

ExpressionPtr ExpressionParser::ParseDictLiteral() {
  auto made = Make(ExpressionKind::kDict, Next().line);
  while (!IsOperator("}")) {
    if (!made->parts.empty()) {
      ExpectOperator(",");
      if (IsOperator("}")) break;
    }
    made->parts.push_back(ParseExpression());
    ExpectOperator(":");
    made->parts.push_back(ParseExpression());
  }
  Next();
  return made;
}

ExpressionPtr ExpressionParser::ParsePostfix(ExpressionPtr value) {
  for (int count = 0;; ++count) {
    if (count > kLongestChain) Refuse("a shorter expression");
    if (IsOperator(".") || IsOperator("[")) {
      value = ParseSubscript(std::move(value));
    } else if (IsOperator("(")) {
      value = ParseCall(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::ParsePostfixAndFilters(ExpressionPtr value) {
  for (int count = 0;; ++count) {
    if (count > kLongestChain) Refuse("a shorter expression");
    if (IsOperator("|")) {
      value = ParseFilters(std::move(value), /*starts_inline=*/false);
    } else if (IsName("is")) {
      value = ParseTest(std::move(value));
    } else if (IsOperator("(")) {
      value = ParseCall(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::ParseSubscript(ExpressionPtr value) {
  const LexerToken token = Next();
  auto made = Make(ExpressionKind::kItem, token.line);
  made->parts.push_back(std::move(value));
  if (token.text == ".") {
    if (current().kind == TokenKind::kName) {
      made->kind = ExpressionKind::kAttribute;
      made->name = Next().text;
      return made;
    }
    auto index = Make(ExpressionKind::kConstant, token.line);
    index->value = Value(Expect(TokenKind::kInteger, "a name or a number").integer);
    made->parts.push_back(std::move(index));
    return made;
  }
  ExpressionPtr part = IsOperator(":") ? nullptr : ParseExpression();
  const bool is_slice = IsOperator(":");
  made->parts.push_back(std::move(part));
  if (is_slice) {
    made->kind = ExpressionKind::kSlice;
    while (SkipOperator(":") && made->parts.size() < 4) {
      const bool is_empty = IsOperator(":") || IsOperator("]");
      made->parts.push_back(is_empty ? nullptr : ParseExpression());
    }
    made->parts.resize(4);
  } else if (IsOperator(",")) {
    auto tuple = Make(ExpressionKind::kTuple, token.line);
    tuple->parts.push_back(std::move(made->parts[1]));
    while (SkipOperator(",")) tuple->parts.push_back(ParseExpression());
    made->parts[1] = std::move(tuple);
  }
  ExpectOperator("]");
  return made;
}

ExpressionPtr ExpressionParser::ParseCall(ExpressionPtr function) {
  auto made = Make(ExpressionKind::kCall, current().line);
  made->parts.push_back(std::move(function));
  ParseArguments(*made);
  return made;
}

void ExpressionParser::ParseArguments(Expression& call) {
  ExpectOperator("(");
  for (bool is_first = true; !IsOperator(")"); is_first = false) {
    if (!is_first) {
      ExpectOperator(",");
      if (IsOperator(")")) break;
    }
    ParseArgument(call);
  }
  Next();
}

void ExpressionParser::ParseArgument(Expression& call) {
  if (SkipOperator("*")) {
    if (call.more_positional || call.more_named) Refuse("one list of arguments");
    call.more_positional = ParseExpression();
  } else if (SkipOperator("**")) {
    if (call.more_named) Refuse("one dict of arguments");
    call.more_named = ParseExpression();
  } else if (current().kind == TokenKind::kName && Is(ahead(), TokenKind::kOperator, "=")) {
    if (call.more_named) Refuse("no named argument behind **");
    const LexerToken name = Next();
    Next();
    for (const auto& [known, unused] : call.named) {
      if (known == name.text) Fail(name.line, "found the argument " + Quote(known) + " twice");
    }
    call.named.emplace_back(name.text, ParseExpression());
  } else {
    if (call.more_positional || call.more_named || !call.named.empty()) {
      Refuse("a name: arguments without one stand in front");
    }
    call.positional.push_back(ParseExpression());
  }
}

std::string ExpressionParser::ParseDottedName(const char* what) {
  std::string name = Expect(TokenKind::kName, what).text;
  while (SkipOperator(".")) name += "." + Expect(TokenKind::kName, what).text;
  return name;
}

ExpressionPtr ExpressionParser::ParseFilters(ExpressionPtr value, bool starts_inline) {
  for (int count = 0; IsOperator("|") || starts_inline; ++count, starts_inline = false) {
    if (count > kLongestChain) Refuse("fewer filters");
    if (!starts_inline) Next();
    auto made = Make(ExpressionKind::kFilter, current().line);
    made->name = ParseDottedName("the name of a filter");
    made->parts.push_back(std::move(value));
    if (IsOperator("(")) ParseArguments(*made);
    value = std::move(made);
  }
  return value;
}

ExpressionPtr ExpressionParser::ParseTest(ExpressionPtr value) {
  Next();
  const bool is_negated = SkipName("not");
  auto made = Make(ExpressionKind::kTest, current().line);
  made->name = ParseDottedName("the name of a test");
  made->parts.push_back(std::move(value));
  const TokenKind kind = current().kind;
  const bool has_operand = kind == TokenKind::kName || kind == TokenKind::kString ||
                           kind == TokenKind::kInteger || kind == TokenKind::kFloat ||
                           IsOperator("[") || IsOperator("{");
  if (IsOperator("(")) {
    ParseArguments(*made);
  } else if (has_operand && !IsName("else") && !IsName("or") && !IsName("and")) {
    if (IsName("is")) Refuse("no second test of one value");
    made->positional.push_back(ParsePostfix(ParsePrimary()));
  }
  if (!is_negated) return made;
  auto negated = Make(ExpressionKind::kNot, made->line);
  negated->parts.push_back(std::move(made));
  return negated;
}

std::string ExpressionParser::ParseNewName() {
  const LexerToken token = Expect(TokenKind::kName, "a name");
  if (IsReserved(token.text)) {
    Fail(token.line, "found the name " + Quote(token.text) + ", expected one of your own");
  }
  return token.text;
}

Target ExpressionParser::ToTarget(const Expression& expression) const {
  Target target;
  if (expression.kind == ExpressionKind::kName) {
    target.name = expression.name;
    return target;
  }
  target.kind = Target::Kind::kTuple;
  const bool is_tuple =
      expression.kind == ExpressionKind::kTuple || expression.kind == ExpressionKind::kList;
  if (!is_tuple || expression.parts.empty()) {
    Fail(expression.line, "found an expression to assign to, expected a name");
  }
  for (const ExpressionPtr& part : expression.parts) target.parts.push_back(ToTarget(*part));
  return target;
}

Target ExpressionParser::ParseTarget(bool with_tuple, bool with_namespace) {
  std::vector<Target> parts;
  bool is_tuple = false;
  while (true) {
    if (!parts.empty()) ExpectOperator(",");
    if (is_tuple && EndsTuple()) break;
    if (with_namespace && current().kind == TokenKind::kName &&
        Is(ahead(), TokenKind::kOperator, ".")) {
      Target target;
      target.kind = Target::Kind::kAttribute;
      target.name = Next().text;
      Next();
      target.attribute = Expect(TokenKind::kName, "the name of an attribute").text;
      parts.push_back(std::move(target));
    } else {
      const size_t reads = names_read_.size();
      parts.push_back(ToTarget(*ParsePrimary()));
      names_read_.resize(reads);
    }
    if (!with_tuple || !IsOperator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) return std::move(parts[0]);
  Target target;
  target.kind = Target::Kind::kTuple;
  target.parts = std::move(parts);
  return target;
}

}  // namespace quantspec::jinja
