#include "text/merge_table.h"

#include <bit>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/check.h"
#include "base/random.h"
#include "quantspec/error.h"
#include "text/byte_alphabet.h"

namespace quantspec {
namespace {

// Looks up what stands in the list of merges.
class MergeReader {
 public:
  MergeReader(const TokenizerSpec& spec, const Vocabulary& vocabulary)
      : spec_(spec), vocabulary_(vocabulary) {
    for (Token token = 0; token < vocabulary.size(); ++token) {
      if (vocabulary.type(token) == TokenType::kNormal) continue;
      others_.insert(spec.pieces[static_cast<size_t>(token)]);
    }
  }

  MergeTable::Merge Read(size_t index) {
    const TokenizerSpec::Merge& merge = spec_.merges[index];
    joined_.assign(merge.left).append(merge.right);
    return {Find(merge.left, index), Find(merge.right, index), Find(joined_, index)};
  }

 private:
  // -1 for tokens of other types than normal, which no merge may make.
  Token Find(std::string_view name, size_t index) {
    const Token token = FindText(name);
    if (token < 0 && !others_.contains(name)) Fail(index);
    return token;
  }

  Token FindText(std::string_view name) {
    if (spec_.kind == TokenizerKind::kCharacterBpe) return vocabulary_.Find(name);
    bytes_.clear();
    return AppendAlphabetBytes(name, &bytes_) ? vocabulary_.Find(bytes_) : -1;
  }

  [[noreturn]] void Fail(size_t index) const {
    constexpr size_t kShown = 64;
    const TokenizerSpec::Merge& merge = spec_.merges[index];
    throw Error(ErrorKind::kCorrupt, spec_.source + ": merges of the tokenizer: found \"" +
                                         std::string(merge.left.substr(0, kShown)) + " " +
                                         std::string(merge.right.substr(0, kShown)) +
                                         "\" at index " + std::to_string(index) +
                                         ", expected two parts that are tokens and make a token; "
                                         "the file is damaged or was converted wrongly");
  }

  const TokenizerSpec& spec_;
  const Vocabulary& vocabulary_;
  std::unordered_set<std::string_view> others_;
  std::string bytes_, joined_;
};

}  // namespace

MergeTable::MergeTable(const TokenizerSpec& spec, const Vocabulary& vocabulary) {
  const size_t count = spec.merges.size();
  QS_CHECK(count <= size_t{1} << 30);
  MergeReader reader(spec, vocabulary);
  merges_.reserve(count);
  table_.assign(std::bit_ceil(count + count / 2 + 1), -1);
  for (size_t i = 0; i < count; ++i) {
    const Merge merge = reader.Read(i);
    merges_.push_back(merge);
    if (merge.left < 0 || merge.right < 0 || merge.result < 0) continue;
    table_[Slot(merge.left, merge.right)] = static_cast<int32_t>(i);
  }
}

size_t MergeTable::Slot(Token left, Token right) const {
  const uint64_t key =
      static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  const size_t mask = table_.size() - 1;
  size_t slot = static_cast<size_t>(MixBits(key)) & mask;
  while (table_[slot] >= 0) {
    const Merge& merge = merges_[static_cast<size_t>(table_[slot])];
    if (merge.left == left && merge.right == right) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

Join MergeTable::JoinOf(Token left, Token right) const {
  const int32_t rank = table_[Slot(left, right)];
  if (rank < 0) return {};
  return {merges_[static_cast<size_t>(rank)].result, static_cast<uint32_t>(rank)};
}

}  // namespace quantspec
