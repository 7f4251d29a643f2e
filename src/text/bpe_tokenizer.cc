#include "text/bpe_tokenizer.h"

#include "text/composition.h"
#include "text/merger.h"
#include "text/utf8.h"

namespace quantspec {

// The state of one Encode.
class BpeTokenizer::Encoder {
 public:
  Encoder(const BpeTokenizer& owner, std::vector<Token>* tokens) : owner_(owner), tokens_(tokens) {}

  // `text` without names that stand for themselves. Valid stretches are cut by the patterns;
  // stretches of broken UTF-8 between them are pieces of their own.
  void Add(std::string_view text) {
    while (!text.empty()) {
      const size_t whole = Stretch(text, /*valid=*/true);
      if (whole > 0) AddValid(text.substr(0, whole));
      text.remove_prefix(whole);
      if (text.empty()) break;
      const size_t broken = Stretch(text, /*valid=*/false);
      AddPiece(text.substr(0, broken));
      text.remove_prefix(broken);
    }
  }

 private:
  static size_t Stretch(std::string_view text, bool valid) {
    size_t at = 0;
    while (at < text.size()) {
      const Utf8Step step = NextUtf8(text.substr(at));
      if ((step.kind == Utf8Kind::kValid) != valid) break;
      at += step.bytes;
    }
    return at;
  }

  void AddValid(std::string_view text) {
    std::string composed;
    if (owner_.pre_tokenizer_.composes() && MayNeedComposing(text)) {
      composed = Compose(text);
      text = composed;
    }
    uint32_t begin = 0;
    for (const uint32_t end : owner_.pre_tokenizer_.Split(text, scratch_)) {
      AddPiece(text.substr(begin, end - begin));
      begin = end;
    }
  }

  void AddPiece(std::string_view piece) {
    if (owner_.keeps_whole_tokens_) {
      const Token token = owner_.vocabulary_.Find(piece);
      if (token >= 0) {
        tokens_->push_back(token);
        return;
      }
    }
    merger_.Clear();
    for (size_t i = 0; i < piece.size(); ++i) {
      const Token token = owner_.byte_tokens_[static_cast<uint8_t>(piece[i])];
      const auto at = static_cast<uint32_t>(i);
      if (token >= 0) merger_.Add(at, at + 1, token);
    }
    merger_.Run([this](const Symbol& left, const Symbol& right) {
      return owner_.merges_.JoinOf(left.token, right.token);
    });
    merger_.ForEach([this](const Symbol& symbol) { tokens_->push_back(symbol.token); });
  }

  const BpeTokenizer& owner_;
  PreTokenizer::Scratch scratch_;
  Merger merger_;
  std::vector<Token>* tokens_;
};

BpeTokenizer::BpeTokenizer(const TokenizerSpec& spec)
    : VocabularyTokenizer(spec),
      merges_(spec, vocabulary_),
      pre_tokenizer_(spec.words ? PreTokenizer(*spec.words, spec.source)
                                : PreTokenizer(spec.pre_tokenizer, spec.source)),
      keeps_whole_tokens_(spec.keeps_whole_tokens || pre_tokenizer_.keeps_whole_tokens()),
      names_(vocabulary_.Matcher(/*with_special=*/false)),
      names_and_special_(vocabulary_.Matcher(/*with_special=*/true)),
      adds_bos_(spec.add_bos.value_or(pre_tokenizer_.adds_bos())) {
  for (size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    const char one = static_cast<char>(byte);
    byte_tokens_[byte] = vocabulary_.Find({&one, 1});
  }
}

std::vector<Token> BpeTokenizer::Encode(std::string_view text, SpecialTokens special) const {
  return EncodeWith(text, special == SpecialTokens::kParse ? names_and_special_ : names_, nullptr);
}

std::vector<Token> BpeTokenizer::EncodeNamed(std::string_view text,
                                             const NameFilter& filter) const {
  return EncodeWith(text, names_and_special_, &filter);
}

std::vector<Token> BpeTokenizer::EncodeWith(std::string_view text, const TokenMatcher& names,
                                            const NameFilter* filter) const {
  // Composing may make a text three times as long.
  CheckSize(text);
  std::vector<Token> tokens;
  tokens.reserve(text.size() / 4 + 8);
  Encoder encoder(*this, &tokens);
  CutAtNames(text, names, filter, tokens,
             [&](size_t begin, size_t end) { encoder.Add(text.substr(begin, end - begin)); });
  return tokens;
}

std::string BpeTokenizer::Piece(Token token) const {
  vocabulary_.Check(token);
  return std::string(vocabulary_.text(token));
}

std::string BpeTokenizer::Decode(std::span<const Token> tokens) const {
  std::string text;
  for (const Token token : tokens) {
    vocabulary_.Check(token);
    text += vocabulary_.text(token);
  }
  return text;
}

}  // namespace quantspec
