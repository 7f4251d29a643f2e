// A tokenizer as plain data: all that is known of it, whatever file it was read from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/types.h"

namespace quantspec {

enum class TokenizerKind : uint8_t {
  kByteLevelBpe,   // merges over bytes [gpt2]
  kSentencePiece,  // merges by score, with byte fallback [sentencepiece]
};

enum class TokenType : uint8_t {
  kUndefined,
  kNormal,
  kUnknown,
  kControl,
  kUserDefined,
  kUnused,
  kByte,
};

// Who fills it checks it: ids are -1 (none) or those of a token, lists that have an element for
// each token are of one length, and texts and tokens are fewer than 2^30.
struct TokenizerSpec {
  std::string source;  // begins messages: the file's name
  TokenizerKind kind = TokenizerKind::kByteLevelBpe;
  // Texts of all tokens, by id; never empty. Bytes of kByteLevelBpe are spelt in GPT-2's alphabet
  // of printable characters, spaces of kSentencePiece as U+2581.
  std::vector<std::string_view> pieces;
  std::vector<TokenType> types;  // by id; empty: the source does not tell
  std::vector<float> scores;     // by id; kSentencePiece, none is NaN

  // kByteLevelBpe, by rank.
  struct Merge {
    std::string_view left, right;
  };
  std::vector<Merge> merges;
  std::string pre_tokenizer;  // the name of its rules, see pre_tokenizer.h

  Token bos = -1;
  Token eos = -1;
  Token unknown = -1;
  std::vector<Token> ends;       // where generation ends: eos and its like
  std::optional<bool> add_bos;   // in front of a prompt; absent: as the family does
  bool add_space_prefix = true;  // kSentencePiece: in front of every text

  std::shared_ptr<const void> storage;  // keeps what the views look at
};

}  // namespace quantspec
