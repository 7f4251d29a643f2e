#include "text/spm_tokenizer.h"

#include <algorithm>
#include <deque>

#include "base/check.h"
#include "quantspec/error.h"
#include "text/merger.h"
#include "text/piece_cache.h"
#include "text/space_sign.h"
#include "text/utf8.h"

namespace quantspec {
namespace {

std::vector<TokenName> SpecialNamesOf(const Vocabulary& vocabulary) {
  std::vector<TokenName> names = vocabulary.Names(/*with_special=*/true);
  std::erase_if(names, [](const TokenName& name) { return !name.is_special; });
  return names;
}

}  // namespace

// Of one call of Encode.
struct SpmTokenizer::Work {
  Merger merger;
  PieceCache cache;
  std::deque<std::string> escaped;  // texts that the cache points into
};

SpmTokenizer::SpmTokenizer(const TokenizerSpec& spec)
    : VocabularyTokenizer(spec),
      no_names_({}),
      special_(SpecialNamesOf(vocabulary_)),
      user_defined_(vocabulary_.Matcher(/*with_special=*/false)),
      scores_(spec.scores),
      adds_space_(spec.add_space_prefix),
      adds_bos_(spec.add_bos.value_or(true)),
      fuses_unknown_(spec.fuses_unknown && spec.unknown >= 0),
      words_are_apart_(true) {
  QS_CHECK(scores_.size() == spec.pieces.size());
  FindBytes(spec);
  for (Token token = 0; token < vocabulary_.size() && words_are_apart_; ++token) {
    words_are_apart_ = !HasInnerSpace(vocabulary_.text(token));
  }
}

void SpmTokenizer::FindBytes(const TokenizerSpec& spec) {
  of_byte_.fill(-1);
  for (Token token = 0; token < vocabulary_.size(); ++token) {
    const int byte = ByteOf(vocabulary_.text(token));
    const bool is_byte = vocabulary_.type(token) == TokenType::kByte;
    if (is_byte && byte < 0) {
      throw Error(ErrorKind::kCorrupt, spec.source + ": tokenizer: byte token " +
                                           std::to_string(token) + " is named \"" +
                                           std::string(vocabulary_.text(token).substr(0, 80)) +
                                           "\", expected a name like <0x0A>; the file is damaged");
    }
    if (byte >= 0 && (is_byte || spec.types.empty())) of_byte_[static_cast<size_t>(byte)] = token;
  }
  if (vocabulary_.unknown() < 0 && std::count(of_byte_.begin(), of_byte_.end(), -1) > 0) {
    throw Error(ErrorKind::kCorrupt,
                spec.source +
                    ": tokenizer: found neither all 256 byte tokens nor a token for what is "
                    "unknown, expected one of them: some texts would have no tokens");
  }
}

std::vector<Token> SpmTokenizer::Encode(std::string_view text, SpecialTokens special) const {
  return EncodeWith(text, special == SpecialTokens::kParse ? special_ : no_names_, nullptr);
}

std::vector<Token> SpmTokenizer::EncodeNamed(std::string_view text,
                                             const NameFilter& filter) const {
  return EncodeWith(text, special_, &filter);
}

std::vector<Token> SpmTokenizer::EncodeWith(std::string_view text, const TokenMatcher& names,
                                            const NameFilter* filter) const {
  CheckSize(text);
  std::vector<Token> out;
  out.reserve(text.size() / 3);
  Work work;
  CutAtNames(text, names, filter, out, [&](size_t begin, size_t end) {
    std::string_view run = text.substr(begin, end - begin);
    // In a prompt that a template wrote, a run's own space is the one that is put in front of it.
    if (filter != nullptr && adds_space_ && run.size() > 1 && run[0] == ' ') run.remove_prefix(1);
    EncodeText(run, work, out);
  });
  if (fuses_unknown_) {
    const auto end = std::unique(out.begin(), out.end(), [this](Token a, Token b) {
      return a == b && a == vocabulary_.unknown();
    });
    out.erase(end, out.end());
  }
  return out;
}

void SpmTokenizer::EncodeText(std::string_view text, Work& work, std::vector<Token>& out) const {
  work.escaped.push_back((adds_space_ ? std::string(kSpaceSign) : "") + EscapeSpaces(text));
  const std::string_view escaped = work.escaped.back();
  CutAtNames(escaped, user_defined_, nullptr, out, [&](size_t begin, size_t end) {
    EncodeEscaped(escaped.substr(begin, end - begin), work, out);
  });
}

void SpmTokenizer::EncodeEscaped(std::string_view text, Work& work, std::vector<Token>& out) const {
  if (!words_are_apart_) {
    EncodeWord(text, work, out);
    return;
  }
  ForEachWord(text, [&](std::string_view word) { EncodeWord(word, work, out); });
}

void SpmTokenizer::EncodeWord(std::string_view word, Work& work, std::vector<Token>& out) const {
  if (work.cache.Append(word, out)) return;
  const size_t first = out.size();
  work.merger.Clear();
  for (size_t at = 0; at < word.size();) {
    const Utf8Step step = NextUtf8(word.substr(at));
    // Broken characters are bytes, each by itself.
    const size_t bytes = step.kind == Utf8Kind::kValid ? step.bytes : 1;
    work.merger.Add(static_cast<uint32_t>(at), static_cast<uint32_t>(at + bytes), -1);
    at += bytes;
  }
  work.merger.Run([&](const Symbol& left, const Symbol& right) {
    const std::string_view joined = word.substr(left.begin, right.end - left.begin);
    const Token token = vocabulary_.Find(joined);
    if (token < 0) return Join{};
    return Join{token, OrderOfScore(scores_[static_cast<size_t>(token)])};
  });
  work.merger.ForEach([&](const Symbol& symbol) {
    EmitSymbol(word.substr(symbol.begin, symbol.end - symbol.begin), out);
  });
  work.cache.Remember(word, first, out);
}

void SpmTokenizer::EmitSymbol(std::string_view symbol, std::vector<Token>& out) const {
  const Token token = vocabulary_.Find(symbol);
  const auto has_token = [&](char c) { return of_byte_[static_cast<uint8_t>(c)] >= 0; };
  if (token >= 0) {
    out.push_back(token);
  } else if (std::all_of(symbol.begin(), symbol.end(), has_token)) {
    for (const char c : symbol) out.push_back(of_byte_[static_cast<uint8_t>(c)]);
  } else {
    out.push_back(vocabulary_.unknown());
  }
}

std::string SpmTokenizer::Piece(Token token) const {
  vocabulary_.Check(token);
  const std::string_view text = vocabulary_.text(token);
  if (vocabulary_.IsSpecial(token)) return std::string(text);
  const int byte = ByteOf(text);
  if (byte >= 0 && of_byte_[static_cast<size_t>(byte)] == token) {
    return std::string(1, static_cast<char>(byte));
  }
  return UnescapeSpaces(text);
}

std::string SpmTokenizer::Decode(std::span<const Token> tokens) const {
  std::string text;
  bool begins = adds_space_;  // of the text, or of what follows a special token
  for (const Token token : tokens) {
    const std::string piece = Piece(token);
    const bool drops_space = begins && piece.starts_with(' ') && !vocabulary_.IsSpecial(token);
    text += drops_space ? piece.substr(1) : piece;
    begins = adds_space_ && vocabulary_.IsSpecial(token);
  }
  return text;
}

}  // namespace quantspec
