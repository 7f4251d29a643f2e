#include "text/character_bpe_tokenizer.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>

#include "text/merger.h"
#include "text/piece_cache.h"
#include "text/space_sign.h"
#include "text/utf8.h"

namespace quantspec {
namespace {

// `name` as it stands in text that was escaped, and got a space in front with kAlways.
std::string EscapedName(std::string_view name, SpacePrefix prefix) {
  return (prefix == SpacePrefix::kAlways ? std::string(kSpaceSign) : "") + EscapeSpaces(name);
}

std::vector<TokenName> NamesOf(const Vocabulary& vocabulary, bool with_special, bool escaped,
                               const TokenizerSpec& spec) {
  std::vector<TokenName> names;
  for (TokenName& name : vocabulary.Names(with_special)) {
    if (name.rules.in_escaped != escaped) continue;
    if (escaped) name.text = EscapedName(name.text, spec.prefix);
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

CharacterBpeTokenizer::Names::Names(const Vocabulary& vocabulary, bool with_special,
                                    const TokenizerSpec& spec)
    : plain(NamesOf(vocabulary, with_special, false, spec)),
      escaped(NamesOf(vocabulary, with_special, true, spec)) {}

CharacterBpeTokenizer::CharacterBpeTokenizer(const TokenizerSpec& spec)
    : VocabularyTokenizer(spec),
      merges_(spec, vocabulary_),
      names_(vocabulary_, false, spec),
      names_and_special_(vocabulary_, true, spec),
      prefix_(spec.prefix),
      escapes_before_names_(spec.escapes_before_names),
      cuts_at_spaces_(spec.cuts_at_spaces),
      keeps_whole_tokens_(spec.keeps_whole_tokens),
      falls_back_to_bytes_(spec.falls_back_to_bytes),
      fuses_unknown_(spec.fuses_unknown),
      drops_first_space_(spec.drops_first_space),
      adds_bos_(spec.add_bos.value_or(true)),
      words_are_apart_(vocabulary_.Find(kSpaceSign) >= 0) {
  of_byte_.fill(-1);
  for (Token token = 0; token < vocabulary_.size(); ++token) {
    const std::string_view text = vocabulary_.text(token);
    if (vocabulary_.type(token) == TokenType::kByte) {
      if (const int byte = ByteOf(text); byte >= 0) of_byte_[static_cast<size_t>(byte)] = token;
    } else if (!vocabulary_.IsSpecial(token) && HasInnerSpace(text)) {
      words_are_apart_ = false;
    }
  }
}

// The state of one Encode.
class CharacterBpeTokenizer::Encoder {
 public:
  Encoder(const CharacterBpeTokenizer& owner, const Names& names, const NameFilter* filter,
          std::vector<Token>* tokens)
      : owner_(owner), names_(names), filter_(filter), tokens_(tokens) {}

  void Add(std::string_view text) {
    CutAtNames(text, names_.plain, filter_, *tokens_,
               [&](size_t begin, size_t end) { AddText(text.substr(begin, end - begin), begin); });
  }

 private:
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();

  // `text` without names of the first kind, which stands at `offset` of the whole.
  void AddText(std::string_view text, size_t offset) {
    const std::string_view escaped = Keep(Prefixed(EscapeSpaces(text), offset == 0));
    if (!owner_.escapes_before_names_ || names_.escaped.empty()) {
      AddUnnamed(escaped);
      return;
    }
    std::vector<size_t> origins;
    if (filter_ != nullptr) origins = OriginsOf(text, offset, escaped.size());
    const auto allows = [&](size_t begin, size_t end) {
      return (*filter_)(origins[begin], origins[end]);
    };
    const NameFilter in_escaped = allows;
    CutAtNames(escaped, names_.escaped, filter_ != nullptr ? &in_escaped : nullptr, *tokens_,
               [&](size_t begin, size_t end) { AddUnnamed(escaped.substr(begin, end - begin)); });
  }

  // Where every byte of `text`, escaped and with a prefix to `size` bytes, stands in the whole, and
  // its end.
  static std::vector<size_t> OriginsOf(std::string_view text, size_t offset, size_t size) {
    std::vector<size_t> origins;
    origins.reserve(size + 1);
    for (size_t i = 0; i < text.size(); ++i) {
      origins.insert(origins.end(), text[i] == ' ' ? kSpaceSign.size() : 1, offset + i);
    }
    origins.insert(origins.begin(), size - origins.size(), offset);
    origins.push_back(offset + text.size());
    return origins;
  }

  std::string Prefixed(std::string escaped, bool is_first) const {
    const bool is_spaced = escaped.starts_with(kSpaceSign);
    const SpacePrefix prefix = owner_.prefix_;
    const bool adds = prefix == SpacePrefix::kAlways ||
                      (prefix == SpacePrefix::kUnlessSpaced && !is_spaced) ||
                      (prefix == SpacePrefix::kFirstUnlessSpaced && !is_spaced && is_first);
    return adds ? std::string(kSpaceSign) + escaped : escaped;
  }

  // Keeps what the cache of pieces points into.
  std::string_view Keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  // Escaped text without names.
  void AddUnnamed(std::string_view text) {
    if (owner_.cuts_at_spaces_) {
      // Every space begins a word.
      while (!text.empty()) {
        const size_t from = text.starts_with(kSpaceSign) ? kSpaceSign.size() : 0;
        const size_t end = std::min(text.find(kSpaceSign, from), text.size());
        AddWord(text.substr(0, end), true);
        text.remove_prefix(end);
      }
      return;
    }
    if (!owner_.words_are_apart_) {
      AddWord(text, true);
      return;
    }
    if (owner_.keeps_whole_tokens_ && AddWhole(text)) return;
    ForEachWord(text, [this](std::string_view word) { AddWord(word, false); });
  }

  bool AddWhole(std::string_view word) {
    const Token token = owner_.vocabulary_.Find(word);
    if (token >= 0) tokens_->push_back(token);
    return token >= 0;
  }

  void AddWord(std::string_view word, bool is_whole) {
    if (is_whole && owner_.keeps_whole_tokens_ && AddWhole(word)) return;
    if (cache_.Append(word, *tokens_)) return;
    const size_t first = tokens_->size();
    merger_.Clear();
    unknown_begin_ = kNone;
    for (size_t at = 0; at < word.size();) {
      const Utf8Step step = NextUtf8(word.substr(at));
      const size_t bytes = step.kind == Utf8Kind::kValid ? step.bytes : 1;
      AddCharacter(word, at, at + bytes);
      at += bytes;
    }
    FlushUnknown(word.size());
    merger_.Run([this](const Symbol& left, const Symbol& right) {
      return owner_.merges_.JoinOf(left.token, right.token);
    });
    merger_.ForEach([this](const Symbol& symbol) { tokens_->push_back(symbol.token); });
    cache_.Remember(word, first, *tokens_);
  }

  void AddCharacter(std::string_view word, size_t begin, size_t end) {
    const std::string_view character = word.substr(begin, end - begin);
    const auto token_of = [&](char c) { return owner_.of_byte_[static_cast<uint8_t>(c)]; };
    const Token token = owner_.vocabulary_.Find(character);
    const bool has_bytes =
        owner_.falls_back_to_bytes_ &&
        std::all_of(character.begin(), character.end(), [&](char c) { return token_of(c) >= 0; });
    if (token < 0 && !has_bytes) {
      if (!owner_.fuses_unknown_) FlushUnknown(begin);
      unknown_begin_ = std::min(unknown_begin_, begin);
      return;
    }
    FlushUnknown(begin);
    if (token >= 0) {
      Push(begin, end, token);
      return;
    }
    for (size_t at = begin; at < end; ++at) Push(at, at + 1, token_of(word[at]));
  }

  // Ends a run of unknown characters, if one is open.
  void FlushUnknown(size_t end) {
    const Token unknown = owner_.vocabulary_.unknown();
    if (unknown_begin_ < end && unknown >= 0) Push(unknown_begin_, end, unknown);
    unknown_begin_ = kNone;
  }

  void Push(size_t begin, size_t end, Token token) {
    merger_.Add(static_cast<uint32_t>(begin), static_cast<uint32_t>(end), token);
  }

  const CharacterBpeTokenizer& owner_;
  const Names& names_;
  const NameFilter* filter_;  // null: every name is one
  std::vector<Token>* tokens_;
  Merger merger_;
  PieceCache cache_;
  std::deque<std::string> texts_;
  size_t unknown_begin_ = kNone;  // of a run of characters without a token
};

std::vector<Token> CharacterBpeTokenizer::Encode(std::string_view text,
                                                 SpecialTokens special) const {
  return EncodeWith(text, special == SpecialTokens::kParse ? names_and_special_ : names_, nullptr);
}

std::vector<Token> CharacterBpeTokenizer::EncodeNamed(std::string_view text,
                                                      const NameFilter& filter) const {
  return EncodeWith(text, names_and_special_, &filter);
}

std::vector<Token> CharacterBpeTokenizer::EncodeWith(std::string_view text, const Names& names,
                                                     const NameFilter* filter) const {
  CheckSize(text);
  std::vector<Token> tokens;
  tokens.reserve(text.size() / 3);
  Encoder(*this, names, filter, &tokens).Add(text);
  return tokens;
}

std::string CharacterBpeTokenizer::Piece(Token token) const {
  vocabulary_.Check(token);
  const std::string_view text = vocabulary_.text(token);
  if (vocabulary_.IsSpecial(token)) return std::string(text);
  if (vocabulary_.type(token) == TokenType::kByte) {
    if (const int byte = ByteOf(text); byte >= 0) return std::string(1, static_cast<char>(byte));
  }
  return UnescapeSpaces(text);
}

std::string CharacterBpeTokenizer::Decode(std::span<const Token> tokens) const {
  std::string text;
  bool is_start = drops_first_space_;
  for (const Token token : tokens) {
    const std::string piece = Piece(token);
    const bool is_special = vocabulary_.IsSpecial(token);
    text += is_start && !is_special && piece.starts_with(' ') ? piece.substr(1) : piece;
    is_start = is_start && is_special;
  }
  return text;
}

}  // namespace quantspec
