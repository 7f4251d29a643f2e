#include "text/jinja/parser.h"

#include <algorithm>

#include "text/jinja/expression_parser.h"
#include "text/jinja/literals.h"
#include "text/jinja/name_check.h"

namespace quantspec::jinja {
namespace {

using Names = std::vector<std::string_view>;

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Body ParseAll() {
    Body body = ParseBody({}, "the end of the template");
    if (current().kind != TokenKind::kEnd) Refuse("the end of the template");
    return body;
  }

 private:
  // Statements up to a tag with one of `ends`, whose name is the current token then.
  Body ParseBody(const Names& ends, const char* what) {
    const Nesting nesting(*this);
    Body body;
    while (true) {
      const LexerToken& token = current();
      if (token.kind == TokenKind::kData) {
        body.push_back(Make(StatementKind::kData, token));
        body.back().text = Next().text;
      } else if (token.kind == TokenKind::kVariableBegin) {
        body.push_back(Make(StatementKind::kPrint, token));
        Next();
        body.back().expression = ParseTuple();
        Expect(TokenKind::kVariableEnd, "'}}'");
      } else if (token.kind == TokenKind::kBlockBegin) {
        Next();
        if (IsOneOf(ends)) return body;
        body.push_back(ParseStatement(ends, what));
        Expect(TokenKind::kBlockEnd, "'%}'");
      } else {
        if (!ends.empty())
          Fail(token.line, std::string("found ") + token.text + ", expected " + what);
        return body;
      }
    }
  }

  // A body that goes on behind the end of this tag, and the name that ends it, skipped.
  Body ParseBlock(const Names& ends, const char* what, std::string* end = nullptr) {
    SkipOperator(":");
    Expect(TokenKind::kBlockEnd, "'%}'");
    Body body = ParseBody(ends, what);
    const LexerToken name = Next();
    if (end != nullptr) *end = name.text;
    return body;
  }

  static Statement Make(StatementKind kind, const LexerToken& token) {
    Statement made;
    made.kind = kind;
    made.line = token.line;
    return made;
  }
  bool IsOneOf(const Names& names) const {
    return std::any_of(names.begin(), names.end(), [&](auto name) { return IsName(name); });
  }

  Statement ParseStatement(const Names& ends, const char* what) {
    const LexerToken token = Expect(TokenKind::kName, "the name of a tag");
    if (token.text == "if") return ParseIf(token);
    if (token.text == "for") return ParseFor(token);
    if (token.text == "set") return ParseSet(token);
    if (token.text == "macro") return ParseMacro(token);
    if (token.text == "call") return ParseCallBlock(token);
    if (token.text == "filter") return ParseFilterBlock(token);
    if (token.text == "with") return ParseWith(token);
    if (token.text == "generation") {
      Statement made = Make(StatementKind::kScope, token);
      const int loops = std::exchange(loops_, 0);
      made.body = ParseBlock({"endgeneration"}, "'endgeneration'");
      loops_ = loops;
      return made;
    }
    if (token.text == "print") return ParsePrint(token);
    if (token.text == "break" || token.text == "continue") {
      if (loops_ == 0) Fail(token.line, "found '" + token.text + "' outside a loop");
      return Make(token.text == "break" ? StatementKind::kBreak : StatementKind::kContinue, token);
    }
    for (const char* known : {"block", "extends", "include", "import", "from", "autoescape"}) {
      if (token.text == known) {
        Fail(token.line, "found the tag '" + token.text +
                             "', which chat templates do not have: they are one file");
      }
    }
    Fail(token.line, "found the unknown tag " + Quote(token.text) +
                         (ends.empty() ? "" : std::string(", expected ") + what));
  }

  Statement ParsePrint(const LexerToken& token) {
    Statement made = Make(StatementKind::kPrint, token);
    made.expression = ParseExpression();
    while (SkipOperator(",")) made.more.push_back(ParseExpression());
    return made;
  }

  Statement ParseIf(const LexerToken& token) {
    Statement made = Make(StatementKind::kIf, token);
    for (std::string end = "elif"; end != "endif";) {
      Branch branch;
      if (end == "elif") branch.condition = ParseTuple(Conditional::kNo);
      const bool is_last = end == "else";
      branch.body = is_last
                        ? ParseBlock({"endif"}, "'endif'", &end)
                        : ParseBlock({"elif", "else", "endif"}, "'elif', 'else' or 'endif'", &end);
      made.branches.push_back(std::move(branch));
    }
    return made;
  }

  Statement ParseFor(const LexerToken& token) {
    Statement made = Make(StatementKind::kFor, token);
    made.target = ParseTarget(/*with_tuple=*/true, /*with_namespace=*/false);
    if (!SkipName("in")) Refuse("'in'");
    made.expression = ParseTuple(Conditional::kNo);
    if (SkipName("if")) made.condition = ParseExpression();
    made.is_recursive = SkipName("recursive");
    std::string end;
    ++loops_;
    made.body = ParseBlock({"endfor", "else"}, "'endfor' or 'else'", &end);
    --loops_;
    if (end == "else") made.otherwise = ParseBlock({"endfor"}, "'endfor'");
    return made;
  }

  Statement ParseSet(const LexerToken& token) {
    Statement made = Make(StatementKind::kSet, token);
    made.target = ParseTarget(/*with_tuple=*/true, /*with_namespace=*/true);
    if (SkipOperator("=")) {
      made.expression = ParseTuple();
      return made;
    }
    made.kind = StatementKind::kSetBlock;
    made.expression = ParseFilters(nullptr, /*starts_inline=*/false);
    made.body = ParseBlock({"endset"}, "'=' or 'endset'");
    return made;
  }

  void ParseParameters(Statement& macro) {
    ExpectOperator("(");
    while (!IsOperator(")")) {
      if (!macro.parameters.empty()) ExpectOperator(",");
      Parameter parameter;
      parameter.name = ParseNewName();
      if (SkipOperator("=")) {
        parameter.otherwise = ParseExpression();
      } else if (!macro.parameters.empty() && macro.parameters.back().otherwise) {
        Refuse("'=': parameters behind one with a default have defaults");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    Next();
  }

  // The body of a macro: breaks leave no loop outside, and special names are noted.
  void ParseMacroBody(Statement& macro, const Names& ends, const char* what) {
    const int loops = std::exchange(loops_, 0);
    const std::vector<std::string> names = std::exchange(names_read_, {});
    macro.body = ParseBlock(ends, what);
    const auto reads = [&](const char* name) {
      return std::find(names_read_.begin(), names_read_.end(), name) != names_read_.end();
    };
    macro.uses_caller = reads("caller");
    macro.uses_varargs = reads("varargs");
    macro.uses_kwargs = reads("kwargs");
    names_read_.insert(names_read_.end(), names.begin(), names.end());
    loops_ = loops;
  }

  Statement ParseMacro(const LexerToken& token) {
    Statement made = Make(StatementKind::kMacro, token);
    made.text = ParseNewName();
    ParseParameters(made);
    ParseMacroBody(made, {"endmacro"}, "'endmacro'");
    return made;
  }

  Statement ParseCallBlock(const LexerToken& token) {
    Statement made = Make(StatementKind::kCall, token);
    if (IsOperator("(")) ParseParameters(made);
    made.text = "caller";
    made.expression = ParseExpression();
    if (made.expression->kind != ExpressionKind::kCall) Refuse("the call of a macro");
    ParseMacroBody(made, {"endcall"}, "'endcall'");
    return made;
  }

  Statement ParseFilterBlock(const LexerToken& token) {
    Statement made = Make(StatementKind::kFilter, token);
    made.expression = ParseFilters(nullptr, /*starts_inline=*/true);
    made.body = ParseBlock({"endfilter"}, "'endfilter'");
    return made;
  }

  Statement ParseWith(const LexerToken& token) {
    Statement made = Make(StatementKind::kWith, token);
    while (current().kind != TokenKind::kBlockEnd) {
      if (!made.bindings.empty()) ExpectOperator(",");
      Target target = ParseTarget(/*with_tuple=*/false, /*with_namespace=*/false);
      ExpectOperator("=");
      made.bindings.emplace_back(std::move(target), ParseExpression());
    }
    made.body = ParseBlock({"endwith"}, "'endwith'");
    return made;
  }

  int loops_ = 0;  // around the current statement
};

}  // namespace

Body Parse(std::string_view source) {
  Body body = Parser(Tokenize(source)).ParseAll();
  CheckNames(body);
  return body;
}

}  // namespace quantspec::jinja
