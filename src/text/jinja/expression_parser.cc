#include "text/jinja/expression_parser.h"

#include <algorithm>

#include "text/jinja/literals.h"

namespace quantspec::jinja {
ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (++parser.depth_ > kDeepestNesting) {
    --parser.depth_;
    parser.Fail(parser.current().line, "found more than " + std::to_string(kDeepestNesting) +
                                           " expressions and blocks within each other");
  }
}

void ExpressionParser::Refuse(const std::string& expected) const {
  const LexerToken& token = current();
  const bool is_data = token.kind == TokenKind::kData;
  Fail(token.line,
       "found " +
           (is_data || token.kind == TokenKind::kEnd ? (is_data ? std::string("text") : token.text)
                                                     : Quote(token.text)) +
           ", expected " + expected);
}

void ExpressionParser::ExpectOperator(std::string_view name) {
  if (!SkipOperator(name)) Refuse(Quote(name));
}

LexerToken ExpressionParser::Expect(TokenKind kind, const char* what) {
  if (current().kind != kind) Refuse(what);
  return Next();
}

ExpressionPtr ExpressionParser::Make(ExpressionKind kind, int line) const {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = line;
  return made;
}

ExpressionPtr ExpressionParser::ParseExpression(Conditional conditional) {
  const Nesting nesting(*this);
  if (conditional == Conditional::kNo) return ParseOr();
  const int line = current().line;
  ExpressionPtr value = ParseOr();
  int count = 0;
  while (SkipName("if")) {
    if (++count > kLongestChain) Fail(line, "found too many conditions of one expression");
    auto made = Make(ExpressionKind::kConditional, line);
    made->parts.push_back(std::move(value));
    made->parts.push_back(ParseOr());
    made->parts.push_back(SkipName("else") ? ParseExpression() : nullptr);
    value = std::move(made);
  }
  return value;
}

template <typename Operand>
ExpressionPtr ExpressionParser::ParseChain(ExpressionKind kind,
                                           const std::vector<std::string_view>& operators,
                                           const Operand& operand) {
  const int line = current().line;
  ExpressionPtr first = operand();
  ExpressionPtr chain;
  while (true) {
    const auto found = std::find_if(operators.begin(), operators.end(),
                                    [&](std::string_view name) { return IsOperator(name); });
    if (found == operators.end()) return chain ? std::move(chain) : std::move(first);
    if (!chain) {
      chain = Make(kind, line);
      chain->parts.push_back(std::move(first));
    }
    chain->operators.push_back(Next().text);
    chain->parts.push_back(operand());
  }
}

ExpressionPtr ExpressionParser::ParseOr() {
  const int line = current().line;
  ExpressionPtr first = ParseAnd();
  if (!IsName("or")) return first;
  auto made = Make(ExpressionKind::kOr, line);
  made->parts.push_back(std::move(first));
  while (SkipName("or")) made->parts.push_back(ParseAnd());
  return made;
}

ExpressionPtr ExpressionParser::ParseAnd() {
  const int line = current().line;
  ExpressionPtr first = ParseNot();
  if (!IsName("and")) return first;
  auto made = Make(ExpressionKind::kAnd, line);
  made->parts.push_back(std::move(first));
  while (SkipName("and")) made->parts.push_back(ParseNot());
  return made;
}

ExpressionPtr ExpressionParser::ParseNot() {
  const int line = current().line;
  if (!SkipName("not")) return ParseComparison();
  const Nesting nesting(*this);
  auto made = Make(ExpressionKind::kNot, line);
  made->parts.push_back(ParseNot());
  return made;
}

ExpressionPtr ExpressionParser::ParseComparison() {
  static constexpr std::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
  const int line = current().line;
  ExpressionPtr first = ParseSum();
  ExpressionPtr chain;
  while (true) {
    std::string name;
    for (const std::string_view one : kOperators) {
      if (IsOperator(one)) name = one;
    }
    if (IsName("in")) name = "in";
    if (IsName("not") && Is(ahead(), TokenKind::kName, "in")) {
      Next();
      name = "not in";
    }
    if (name.empty()) return chain ? std::move(chain) : std::move(first);
    Next();
    if (!chain) {
      chain = Make(ExpressionKind::kComparison, line);
      chain->parts.push_back(std::move(first));
    }
    chain->operators.push_back(std::move(name));
    chain->parts.push_back(ParseSum());
  }
}

ExpressionPtr ExpressionParser::ParseSum() {
  return ParseChain(ExpressionKind::kArithmetic, {"+", "-"}, [&] { return ParseJoin(); });
}

ExpressionPtr ExpressionParser::ParseJoin() {
  return ParseChain(ExpressionKind::kJoin, {"~"}, [&] { return ParseProduct(); });
}

ExpressionPtr ExpressionParser::ParseProduct() {
  return ParseChain(ExpressionKind::kArithmetic, {"*", "/", "//", "%"},
                    [&] { return ParsePower(); });
}

ExpressionPtr ExpressionParser::ParsePower() {
  return ParseChain(ExpressionKind::kArithmetic, {"**"}, [&] { return ParseUnary(true); });
}

ExpressionPtr ExpressionParser::ParseUnary(bool with_filters) {
  const int line = current().line;
  ExpressionPtr value;
  if (IsOperator("-") || IsOperator("+")) {
    const Nesting nesting(*this);
    const bool is_minus = Next().text == "-";
    value = Make(is_minus ? ExpressionKind::kNegate : ExpressionKind::kPlus, line);
    value->parts.push_back(ParseUnary(false));
  } else {
    value = ParsePrimary();
  }
  value = ParsePostfix(std::move(value));
  return with_filters ? ParsePostfixAndFilters(std::move(value)) : std::move(value);
}

bool ExpressionParser::EndsTuple() const {
  const TokenKind kind = current().kind;
  return kind == TokenKind::kVariableEnd || kind == TokenKind::kBlockEnd || IsOperator(")");
}

ExpressionPtr ExpressionParser::ParseTuple(Conditional conditional, bool in_parentheses) {
  const Nesting nesting(*this);
  const int line = current().line;
  std::vector<ExpressionPtr> parts;
  bool is_tuple = false;
  while (true) {
    if (!parts.empty()) ExpectOperator(",");
    if (EndsTuple()) break;
    parts.push_back(ParseExpression(conditional));
    if (!IsOperator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !parts.empty()) return std::move(parts[0]);
  if (parts.empty() && !in_parentheses) Refuse("an expression");
  auto made = Make(ExpressionKind::kTuple, line);
  made->parts = std::move(parts);
  return made;
}

}  // namespace quantspec::jinja
