// The grammar of expressions, as jinja2 has it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace quantspec::jinja {

inline constexpr int kDeepestNesting = 100;  // expressions and blocks within each other
inline constexpr int kLongestChain = 100;    // subscripts, calls and filters behind one value

// A cursor over tokens; all functions throw SyntaxFailure where another token is expected.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<LexerToken> tokens) : tokens_(std::move(tokens)) {}

 protected:
  enum class Conditional { kNo, kYes };

  const LexerToken& current() const { return tokens_[at_]; }
  const LexerToken& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  LexerToken Next() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_]; }
  bool IsName(std::string_view name) const { return Is(current(), TokenKind::kName, name); }
  bool IsOperator(std::string_view name) const { return Is(current(), TokenKind::kOperator, name); }
  bool SkipName(std::string_view name) { return IsName(name) && (Next(), true); }
  bool SkipOperator(std::string_view name) { return IsOperator(name) && (Next(), true); }
  void ExpectOperator(std::string_view name);
  LexerToken Expect(TokenKind kind, const char* what);
  [[noreturn]] void Refuse(const std::string& expected) const;
  [[noreturn]] void Fail(int line, const std::string& message) const {
    throw SyntaxFailure{line, message};
  }

  ExpressionPtr ParseExpression(Conditional conditional = Conditional::kYes);
  // An expression or several with commas between them.
  ExpressionPtr ParseTuple(Conditional conditional = Conditional::kYes,
                           bool in_parentheses = false);
  ExpressionPtr ParsePrimary();
  // Filters behind `value`, the first one without its "|" if `starts_inline`. `value` may be null.
  ExpressionPtr ParseFilters(ExpressionPtr value, bool starts_inline);
  Target ParseTarget(bool with_tuple, bool with_namespace);
  std::string ParseNewName();

  // Counts what is within each other.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.depth_; }

   private:
    ExpressionParser& parser_;
  };
  // Names that were read since the vector was last cleared.
  std::vector<std::string> names_read_;

 private:
  static bool Is(const LexerToken& token, TokenKind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }
  ExpressionPtr Make(ExpressionKind kind, int line) const;
  ExpressionPtr ParseOr();
  ExpressionPtr ParseAnd();
  ExpressionPtr ParseNot();
  ExpressionPtr ParseComparison();
  ExpressionPtr ParseSum();
  ExpressionPtr ParseJoin();
  ExpressionPtr ParseProduct();
  ExpressionPtr ParsePower();
  ExpressionPtr ParseUnary(bool with_filters);
  ExpressionPtr ParseName();
  ExpressionPtr ParseListLiteral();
  ExpressionPtr ParseDictLiteral();
  ExpressionPtr ParsePostfix(ExpressionPtr value);
  ExpressionPtr ParsePostfixAndFilters(ExpressionPtr value);
  ExpressionPtr ParseSubscript(ExpressionPtr value);
  ExpressionPtr ParseCall(ExpressionPtr function);
  ExpressionPtr ParseTest(ExpressionPtr value);
  void ParseArguments(Expression& call);
  void ParseArgument(Expression& call);
  std::string ParseDottedName(const char* what);
  bool EndsTuple() const;
  template <typename Operand>
  ExpressionPtr ParseChain(ExpressionKind kind, const std::vector<std::string_view>& operators,
                           const Operand& operand);
  Target ToTarget(const Expression& expression) const;

  std::vector<LexerToken> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace quantspec::jinja
