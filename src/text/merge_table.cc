#include "text/merge_table.h"

#include <bit>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/random.h"
#include "quantspec/error.h"
#include "text/byte_alphabet.h"

namespace quantspec {
namespace {

// Looks up what stands in the list of merges.
class MergeReader {
 public:
  explicit MergeReader(const Gguf& file, const Vocabulary& vocabulary)
      : file_(file), vocabulary_(vocabulary) {
    const GgufArray* names = file.Array("tokenizer.ggml.tokens");
    for (Token token = 0; token < vocabulary.size(); ++token) {
      if (vocabulary.type(token) == TokenType::kNormal) continue;
      others_.insert(names->strings[static_cast<size_t>(token)]);
    }
  }

  // -1 for tokens of other types than normal, which no merge may make.
  Token Find(std::string_view name, size_t index, std::string_view merge) {
    bytes_.clear();
    const Token token = AppendAlphabetBytes(name, &bytes_) ? vocabulary_.Find(bytes_) : -1;
    if (token < 0 && !others_.contains(name)) {
      Fail(index, merge, "two parts that are tokens and make a token");
    }
    return token;
  }

  [[noreturn]] void Fail(size_t index, std::string_view merge, const std::string& expected) const {
    constexpr size_t kShown = 64;
    throw Error(ErrorKind::kCorrupt, file_.name() + ": metadata tokenizer.ggml.merges: found \"" +
                                         std::string(merge.substr(0, kShown)) + "\" at index " +
                                         std::to_string(index) + ", expected " + expected +
                                         "; the file is damaged or was converted wrongly");
  }

 private:
  const Gguf& file_;
  const Vocabulary& vocabulary_;
  std::unordered_set<std::string_view> others_;
  std::string bytes_;
};

}  // namespace

MergeTable::MergeTable(const Gguf& file, const Vocabulary& vocabulary) {
  const GgufArray* list = file.Array("tokenizer.ggml.merges");
  if (list == nullptr || list->size() != list->strings.size() || list->size() > size_t{1} << 30) {
    throw Error(ErrorKind::kCorrupt,
                file.name() +
                    ": metadata tokenizer.ggml.merges: found none, expected the list of merges of "
                    "a byte-pair encoding; convert the model again");
  }
  MergeReader reader(file, vocabulary);
  merges_.reserve(list->size());
  table_.assign(std::bit_ceil(list->size() + list->size() / 2 + 1), -1);
  std::string joined;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string_view merge = list->strings[i];
    // A part is never empty, and its spaces are spelt otherwise.
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size() || merge[0] == ' ' ||
        merge.find(' ', space + 1) != std::string_view::npos) {
      reader.Fail(i, merge, "two parts with one space between them");
    }
    joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    const Merge entry{reader.Find(merge.substr(0, space), i, merge),
                      reader.Find(merge.substr(space + 1), i, merge),
                      reader.Find(joined, i, merge)};
    merges_.push_back(entry);
    if (entry.left < 0 || entry.right < 0 || entry.result < 0) continue;
    table_[Slot(entry.left, entry.right)] = static_cast<int32_t>(i);
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

int32_t MergeTable::Rank(Token left, Token right) const { return table_[Slot(left, right)]; }

}  // namespace quantspec
