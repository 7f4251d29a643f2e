// A template cut into tokens, by the rules of jinja2 with trim_blocks and lstrip_blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quantspec::jinja {

enum class TokenKind : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct LexerToken {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;  // data, names, operators; strings with their escapes resolved
  int64_t integer = 0;
  double number = 0;
};

// What is wrong with a template's text, and where.
struct SyntaxFailure {
  int line;
  std::string message;
};

// Throws SyntaxFailure. The last token is kEnd.
std::vector<LexerToken> Tokenize(std::string_view source);

}  // namespace quantspec::jinja
