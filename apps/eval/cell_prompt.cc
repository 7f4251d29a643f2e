#include "eval/cell_prompt.h"

#include <algorithm>

#include "eval/needles.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

constexpr int kFirstTexts = 16;  // read before it is known how many are long enough

constexpr NeedleTask kTasks[] = {NeedleTask::kSingle, NeedleTask::kManyKeys,
                                 NeedleTask::kManyValues, NeedleTask::kWords};

// Goes through the prompts of a set until it has found the one that is asked for.
class PromptSearch {
 public:
  PromptSearch(const Cell& cell, const Tokenizer& tokenizer, const ChatFormat* chat)
      : cell_(cell), tokenizer_(tokenizer), chat_(chat) {}

  // Of the `part`-th stretches of `texts` from `begin` on. `found` counts up to the example.
  std::optional<CellPrompt> In(const std::vector<EvalText>& texts, size_t begin, int part) {
    for (size_t i = begin; i < texts.size() && i < static_cast<size_t>(kMostTexts); ++i) {
      std::optional<std::vector<Token>> tokens = Cut(texts[i], part);
      if (!tokens || found_++ < cell_.example) continue;
      return CellPrompt{texts[i].name, std::move(*tokens), texts[i].answers};
    }
    return std::nullopt;
  }

  int found() const { return found_; }
  const std::string& fault() const { return fault_; }

 private:
  // None for a text that is too short, or whose question alone is too long.
  std::optional<std::vector<Token>> Cut(const EvalText& text, int part) {
    const auto protocol = cell_.protocol == "clean" ? Protocol::kClean : Protocol::kAuthors;
    try {
      return BuildPrompt(text, tokenizer_, chat_, cell_.context, protocol, part);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUsage) throw;
      fault_ = error.what();
      return std::nullopt;
    }
  }

  const Cell& cell_;
  const Tokenizer& tokenizer_;
  const ChatFormat* chat_;
  int found_ = 0;
  std::string fault_;  // of the last question that is too long
};

std::optional<CellPrompt> FindNeedles(const Cell& cell, const Tokenizer& tokenizer,
                                      const ChatFormat* chat, TextShelf& shelf) {
  std::string novel;
  for (const EvalText& part : shelf.Get(cell.dataset, kFirstTexts)) novel += part.text + "\n";
  NeedleOptions options;
  options.task = kTasks[static_cast<size_t>(cell.example) % std::size(kTasks)];
  options.seed = static_cast<uint64_t>(cell.example);
  std::optional<NeedlePrompt> prompt = BuildNeedles(
      novel, tokenizer, cell.protocol == "clean" ? chat : nullptr, cell.context, options);
  if (!prompt) return std::nullopt;
  return CellPrompt{NeedleName(options.task), std::move(prompt->tokens),
                    std::move(prompt->answers)};
}

}  // namespace

const std::vector<EvalText>& TextShelf::Get(const std::string& dataset, int count) {
  Set& set = sets_[dataset];
  if (set.asked >= count) return set.texts;
  set.texts = LoadDataset(data_, dataset, count);
  set.asked = count;
  return set.texts;
}

std::optional<CellPrompt> FindPrompt(const Cell& cell, const Tokenizer& tokenizer,
                                     const ChatFormat* chat, TextShelf& shelf, std::string* why) {
  std::optional<CellPrompt> prompt;
  if (shelf.data() == kBuiltinData && cell.dataset == kNeedles) {
    prompt = FindNeedles(cell, tokenizer, chat, shelf);
    if (!prompt) {
      *why = "the novel has no " + std::to_string(cell.context) + " tokens to hide needles in";
    }
    return prompt;
  }
  PromptSearch search(cell, tokenizer, chat);
  size_t seen = 0;
  for (int count = kFirstTexts; !prompt; count *= 2) {
    const std::vector<EvalText>& texts = shelf.Get(cell.dataset, count);
    prompt = search.In(texts, seen, 0);
    const bool has_more = texts.size() >= static_cast<size_t>(count);
    seen = texts.size();
    if (!has_more || count >= kMostTexts) break;
  }
  const std::vector<EvalText>& texts = shelf.Get(cell.dataset, 1);
  for (int part = 1, before = 0; !prompt && search.found() > before; ++part) {
    before = search.found();
    prompt = search.In(texts, 0, part);
  }
  if (prompt) return prompt;
  *why = std::to_string(texts.size()) + " texts of " + cell.dataset + " give " +
         std::to_string(search.found()) + " prompts of " + std::to_string(cell.context) +
         " tokens, and no example " + std::to_string(cell.example) +
         (search.fault().empty() ? "" : "; " + search.fault());
  return std::nullopt;
}

double ScoreOutput(std::span<const Token> output, const Tokenizer& tokenizer,
                   std::span<const std::string> answers) {
  const auto end = std::find_if(output.begin(), output.end(),
                                [&](Token token) { return tokenizer.IsEnd(token); });
  const std::string text =
      tokenizer.Decode(output.first(static_cast<size_t>(end - output.begin())));
  return ScoreNeedles(text, answers);
}

}  // namespace quantspec::eval
