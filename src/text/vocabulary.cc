#include "text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "quantspec/error.h"
#include "text/byte_alphabet.h"

namespace quantspec {
namespace {

constexpr std::string_view kBar =
    "\xEF\xBD\x9C";  // full-width vertical line, as DeepSeek writes it

// Names at which generation ends in the models that have them as control tokens.
constexpr std::string_view kEndNames[] = {
    "</s>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end_of_turn|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<|eot|>",
    "<EOT>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
};

// Marks of turns that some converters write as user-defined tokens.
constexpr std::string_view kControlNames[] = {
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<pad>",
    "[INST]",
    "[/INST]",
    "<start_of_turn>",
    "<end_of_turn>",
    "<EOT>",
    "<end_of_utterance>",
};

bool LooksLikeControl(std::string_view name) {
  const auto enclosed = [&](std::string_view open, std::string_view close) {
    return name.size() > open.size() + close.size() && name.starts_with(open) &&
           name.ends_with(close);
  };
  return enclosed("<|", "|>") || enclosed("<" + std::string(kBar), std::string(kBar) + ">") ||
         std::find(std::begin(kControlNames), std::end(kControlNames), name) !=
             std::end(kControlNames);
}

}  // namespace

Vocabulary::Vocabulary(const TokenizerSpec& spec) {
  QS_CHECK(!spec.pieces.empty());
  SetTypes(spec);
  for (const Token id : {spec.bos, spec.eos, spec.unknown}) QS_CHECK(id >= -1 && id < size());
  bos_ = spec.bos;
  eos_ = spec.eos;
  unknown_ = spec.unknown;
  added_ = spec.added;
  std::stable_sort(added_.begin(), added_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  StoreTexts(spec);
  MarkEnds(spec);
  FillTable(spec);
}

void Vocabulary::Check(Token token) const {
  if (token >= 0 && token < size()) return;
  throw Error(ErrorKind::kUsage,
              "token " + std::to_string(token) + ": expected 0 to " + std::to_string(size() - 1));
}

void Vocabulary::SetTypes(const TokenizerSpec& spec) {
  const size_t count = spec.pieces.size();
  QS_CHECK(spec.types.empty() || spec.types.size() == count);
  types_ = spec.types;
  types_.resize(count, TokenType::kNormal);
  for (size_t i = 0; i < count; ++i) {
    if ((spec.types.empty() || types_[i] == TokenType::kUserDefined) &&
        LooksLikeControl(spec.pieces[i])) {
      types_[i] = TokenType::kControl;
    }
  }
}

void Vocabulary::StoreTexts(const TokenizerSpec& spec) {
  size_t bytes = 0;
  for (const std::string_view piece : spec.pieces) bytes += piece.size();
  QS_CHECK(bytes <= std::numeric_limits<uint32_t>::max());
  bytes_.reserve(bytes);
  begins_.reserve(spec.pieces.size() + 1);
  is_misspelt_.assign(spec.pieces.size(), false);
  for (size_t i = 0; i < spec.pieces.size(); ++i) {
    begins_.push_back(static_cast<uint32_t>(bytes_.size()));
    const bool spelt = spec.kind == TokenizerKind::kByteLevelBpe &&
                       (types_[i] == TokenType::kNormal || types_[i] == TokenType::kUndefined);
    if (spelt && AppendAlphabetBytes(spec.pieces[i], &bytes_)) continue;
    is_misspelt_[i] = spelt;
    bytes_ += spec.pieces[i];
  }
  begins_.push_back(static_cast<uint32_t>(bytes_.size()));
}

void Vocabulary::MarkEnds(const TokenizerSpec& spec) {
  is_end_.assign(types_.size(), false);
  for (const Token token : spec.ends) {
    QS_CHECK(token >= 0 && token < size());
    is_end_[Index(token)] = true;
    if (type(token) == TokenType::kUserDefined) types_[Index(token)] = TokenType::kControl;
  }
  for (Token token = 0; token < size(); ++token) {
    if (type(token) == TokenType::kControl &&
        std::find(std::begin(kEndNames), std::end(kEndNames), text(token)) != std::end(kEndNames)) {
      is_end_[Index(token)] = true;
    }
  }
}

void Vocabulary::FillTable(const TokenizerSpec& spec) {
  const bool finds_user_defined = spec.kind == TokenizerKind::kCharacterBpe;
  table_.assign(std::bit_ceil(types_.size() + types_.size() / 2 + 1), -1);
  for (Token token = 0; token < size(); ++token) {
    const bool is_text = type(token) == TokenType::kNormal || type(token) == TokenType::kUndefined;
    const bool is_found = finds_user_defined && type(token) == TokenType::kUserDefined;
    if (!(is_text || is_found) || is_misspelt_[Index(token)] || text(token).empty()) continue;
    Token& slot = table_[Slot(text(token))];
    if (slot < 0) slot = token;
  }
}

size_t Vocabulary::Slot(std::string_view text) const {
  Digest digest;
  digest.Add(std::as_bytes(std::span(text)));
  const size_t mask = table_.size() - 1;
  size_t slot = static_cast<size_t>(digest.value()) & mask;
  while (table_[slot] >= 0 && this->text(table_[slot]) != text) slot = (slot + 1) & mask;
  return slot;
}

Token Vocabulary::Find(std::string_view text) const { return table_[Slot(text)]; }

std::vector<TokenName> Vocabulary::Names(bool with_special) const {
  std::vector<TokenName> names;
  for (Token token = 0; token < size(); ++token) {
    if (type(token) != TokenType::kUserDefined && !(with_special && IsSpecial(token))) continue;
    TokenName name{std::string(text(token)), token, {}, IsSpecial(token)};
    const auto at = std::lower_bound(added_.begin(), added_.end(), token,
                                     [](const AddedToken& a, Token id) { return a.id < id; });
    if (at != added_.end() && at->id == token) name.rules = at->rules;
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace quantspec
