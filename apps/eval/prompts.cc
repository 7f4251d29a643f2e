#include <algorithm>

#include "eval/datasets.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

constexpr size_t kPg19Skipped = 8000;  // tokens of front matter, as the paper's script leaves out
constexpr int kChatTries = 64;

// The first tokens of a text, at least `needed` of them if it has so many; the text is looked at
// only as far as that takes.
std::vector<Token> FirstTokens(const Tokenizer& tokenizer, std::string_view text, size_t needed) {
  for (size_t bytes = needed * 6 + 4096;; bytes *= 2) {
    if (bytes >= text.size()) return tokenizer.Encode(text, SpecialTokens::kAsText);
    const size_t space = text.find_last_of(" \n", bytes);
    const std::string_view head = text.substr(0, space == std::string_view::npos ? bytes : space);
    std::vector<Token> tokens = tokenizer.Encode(head, SpecialTokens::kAsText);
    // The last tokens may differ from those of the whole text.
    if (tokens.size() >= needed + 64) return tokens;
  }
}

bool AddsBos(const Tokenizer& tokenizer) { return tokenizer.adds_bos() && tokenizer.bos() >= 0; }

std::vector<Token> WithBos(const Tokenizer& tokenizer, std::vector<Token> tokens) {
  if (AddsBos(tokenizer)) tokens.insert(tokens.begin(), tokenizer.bos());
  return tokens;
}

// Tokens left for the text beside what else a prompt holds.
size_t RoomBeside(size_t taken, int context) {
  if (taken < static_cast<size_t>(context)) return static_cast<size_t>(context) - taken;
  throw Error(ErrorKind::kUsage, "a context of " + std::to_string(context) +
                                     " tokens has no room for a text beside the " +
                                     std::to_string(taken) + " of the question");
}

std::optional<std::vector<Token>> AuthorsPrompt(const EvalText& text, const Tokenizer& tokenizer,
                                                int context, size_t part) {
  std::vector<Token> suffix;
  if (!text.suffix.empty()) {
    suffix = WithBos(tokenizer, tokenizer.Encode(text.suffix, SpecialTokens::kAsText));
  }
  const size_t room = RoomBeside(suffix.size(), context);
  const bool is_pg19 = text.dataset == "pg19";
  const size_t begin = (is_pg19 ? kPg19Skipped : 0) + part * room;
  // The script drops a book's last piece, even if it is a whole one.
  const size_t needed = begin + room + (is_pg19 ? 1 : 0);
  const std::vector<Token> tokens = WithBos(tokenizer, FirstTokens(tokenizer, text.text, needed));
  if (tokens.size() < needed) return std::nullopt;
  const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(begin);
  std::vector<Token> prompt(first, first + static_cast<std::ptrdiff_t>(room));
  if (AddsBos(tokenizer)) prompt[0] = tokenizer.bos();
  prompt.insert(prompt.end(), suffix.begin(), suffix.end());
  return prompt;
}

std::optional<std::vector<Token>> RawPrompt(const EvalText& text, const Tokenizer& tokenizer,
                                            int context, size_t part) {
  const std::vector<Token> suffix = tokenizer.Encode(text.suffix, SpecialTokens::kAsText);
  const size_t room = RoomBeside(suffix.size() + (AddsBos(tokenizer) ? 1 : 0), context);
  const std::vector<Token> tokens = FirstTokens(tokenizer, text.text, (part + 1) * room);
  if (tokens.size() < (part + 1) * room) return std::nullopt;
  const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(part * room);
  std::vector<Token> prompt =
      WithBos(tokenizer, {first, first + static_cast<std::ptrdiff_t>(room)});
  prompt.insert(prompt.end(), suffix.begin(), suffix.end());
  return prompt;
}

// The template and its joints with the text take as many tokens as they take: the text is cut until
// the whole fits.
std::optional<std::vector<Token>> ChatPrompt(const EvalText& text, const Tokenizer& tokenizer,
                                             const ChatFormat& chat, int context, size_t part) {
  const auto wanted = static_cast<size_t>(context);
  const auto format = [&](const std::string& head) {
    const ChatMessage message{ChatMessage::Role::kUser, head + text.suffix};
    return chat.Format({&message, 1});
  };
  const size_t room = RoomBeside(format("").size(), context);
  const size_t needed = (part + 1) * wanted;
  const std::vector<Token> tokens = FirstTokens(tokenizer, text.text, needed);
  const size_t begin = part * wanted;
  size_t count = room;
  for (int attempt = 0; attempt < kChatTries; ++attempt) {
    // Where no length fits exactly, the next token is another place to begin.
    const size_t from = begin + static_cast<size_t>(attempt) / 8;
    if (from + count > tokens.size()) return std::nullopt;
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(from);
    const std::vector<Token> stretch(first, first + static_cast<std::ptrdiff_t>(count));
    std::vector<Token> prompt = format(tokenizer.Decode(stretch));
    if (prompt.size() == wanted) return prompt;
    const auto change =
        static_cast<std::ptrdiff_t>(wanted) - static_cast<std::ptrdiff_t>(prompt.size());
    count = static_cast<size_t>(
        std::max<std::ptrdiff_t>(1, static_cast<std::ptrdiff_t>(count) + change));
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<Token>> BuildPrompt(const EvalText& text, const Tokenizer& tokenizer,
                                              const ChatFormat* chat, int context,
                                              Protocol protocol, int part) {
  const size_t stretch = static_cast<size_t>(std::max(0, part));
  if (protocol == Protocol::kAuthors) return AuthorsPrompt(text, tokenizer, context, stretch);
  if (chat == nullptr) return RawPrompt(text, tokenizer, context, stretch);
  return ChatPrompt(text, tokenizer, *chat, context, stretch);
}

}  // namespace quantspec::eval
