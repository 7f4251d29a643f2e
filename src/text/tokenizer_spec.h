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
  kCharacterBpe,   // merges by rank over characters, with byte fallback [tokenizers]
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

// How a token's name is found in text. [tokenizers]
struct NameRules {
  bool is_word = false;      // only where no letter, digit or underscore touches it
  bool takes_left = false;   // with the white space before it
  bool takes_right = false;  // with the white space behind it
  // kCharacterBpe with escapes_before_names: found in text that has its spaces escaped already.
  bool in_escaped = false;
};
struct AddedToken {
  Token id = -1;
  NameRules rules;
};

// How text is cut into words, spelt out.
struct WordRules {
  struct Cut {
    std::string pattern;      // of PCRE2
    bool covers_all = false;  // text between its matches is an error
  };
  std::vector<Cut> cuts;  // each cuts the pieces of the one before
  bool composes = false;  // text is brought into Unicode's composed normal form first
};

// kCharacterBpe: which texts get a space in front.
enum class SpacePrefix : uint8_t {
  kNever,
  kAlways,
  kUnlessSpaced,       // all that do not begin with a space
  kFirstUnlessSpaced,  // the same, only at the very beginning
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

  std::vector<AddedToken> added;  // tokens found by other rules than "wherever the name occurs"

  // kByteLevelBpe and kCharacterBpe, by rank.
  struct Merge {
    std::string_view left, right;
  };
  std::vector<Merge> merges;
  std::string pre_tokenizer;        // kByteLevelBpe: the name of its rules, see pre_tokenizer.h
  std::optional<WordRules> words;   // kByteLevelBpe: the rules themselves, instead
  bool keeps_whole_tokens = false;  // a word that is a token stays one, whatever the merges say

  // kCharacterBpe.
  SpacePrefix prefix = SpacePrefix::kNever;
  bool escapes_before_names = false;  // spaces, and the prefix, before names in_escaped are found
  bool cuts_at_spaces = false;        // a word ends before every space
  bool falls_back_to_bytes = false;   // characters without a token become their bytes' tokens
  bool drops_first_space = false;     // of a decoded text

  bool fuses_unknown = false;  // neighbouring unknown characters are one token; not of bytes

  Token bos = -1;
  Token eos = -1;
  Token unknown = -1;
  std::vector<Token> ends;       // where generation ends: eos and its like
  std::optional<bool> add_bos;   // in front of a prompt; absent: as the family does
  bool add_space_prefix = true;  // kSentencePiece: in front of every text

  std::shared_ptr<const void> storage;  // keeps what the views look at
};

}  // namespace quantspec
