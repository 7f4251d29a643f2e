// Chat prompts as tokens: special tokens come from the family's data only,
// message texts are text.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quantspec/error.h"
#include "text/chat_families.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quantspec {
namespace {

// White space as Python's str.strip() knows it: what templates mean by
// trimming.
bool IsSpace(uint32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
         code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

std::string_view TrimEnd(std::string_view text) {
  size_t end = 0;  // of the last character that is no space
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = NextUtf8(text.substr(at));
    at += step.bytes;
    if (step.kind != Utf8Kind::kValid || !IsSpace(step.code)) end = at;
  }
  return text.substr(0, end);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty()) {
    const Utf8Step step = NextUtf8(text);
    if (step.kind != Utf8Kind::kValid || !IsSpace(step.code)) break;
    text.remove_prefix(step.bytes);
  }
  return TrimEnd(text);
}

// Collects tokens; text between special tokens is encoded in one run, as the
// model saw it.
class TokenRun {
 public:
  // With `adds_space`, the tokenizer puts a space before every run; a run's own
  // space is that one.
  TokenRun(const Tokenizer& tokenizer, bool adds_space)
      : tokenizer_(tokenizer), adds_space_(adds_space) {}

  void AddText(std::string_view text) { text_ += text; }
  // Template text, with special tokens between kMark characters.
  void AddTemplate(std::string_view text) {
    for (bool is_special = false; !text.empty(); is_special = !is_special) {
      const size_t end = text.find(kMark);
      const std::string_view part = text.substr(0, end);
      if (is_special) {
        AddSpecial(part);
      } else {
        text_ += part;
      }
      text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
  }
  void AddToken(Token token) {
    Flush();
    tokens_.push_back(token);
  }
  std::vector<Token> Take() {
    Flush();
    return std::move(tokens_);
  }

 private:
  void AddSpecial(std::string_view name) {
    const std::vector<Token> tokens = tokenizer_.Encode(name, SpecialTokens::kParse);
    if (tokens.size() == 1 && tokenizer_.IsSpecial(tokens[0])) {
      AddToken(tokens[0]);
    } else {
      text_ += name;
    }
  }
  void Flush() {
    if (text_.empty()) return;
    std::string_view run = text_;
    if (adds_space_ && run.size() > 1 && run[0] == ' ') run.remove_prefix(1);
    const std::vector<Token> tokens = tokenizer_.Encode(run, SpecialTokens::kAsText);
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    text_.clear();
  }

  const Tokenizer& tokenizer_;
  const bool adds_space_;
  std::vector<Token> tokens_;
  std::string text_;
};

class FamilyFormat : public ChatFormat {
 public:
  FamilyFormat(ChatFamily family, const Tokenizer& tokenizer, bool adds_space)
      : family_(std::move(family)), tokenizer_(tokenizer), adds_space_(adds_space) {}

  std::string_view family() const override { return family_.name; }

  std::vector<Token> Format(std::span<const ChatMessage> messages) const override {
    TokenRun run(tokenizer_, adds_space_);
    if (family_.starts_with_bos) AddBos(run);
    std::optional<std::string> system;
    if (!family_.default_system.empty()) system = family_.default_system;
    if (!messages.empty() && messages[0].role == Role::kSystem) {
      system = messages[0].text;
      messages = messages.subspan(1);
    }
    if (!family_.system_in_user && (system || !family_.system_prefix.empty())) {
      AddSystem(run, system.value_or(""));
    }
    const size_t holder = family_.system_in_last ? messages.size() - 1 : 0;
    for (size_t i = 0; i < messages.size(); ++i) {
      const ChatMessage& message = messages[i];
      if (message.role == Role::kAssistant) {
        AddAnswer(run, message.text);
      } else if (message.role == Role::kSystem && !family_.system_in_user) {
        AddSystem(run, message.text);
      } else {
        AddUser(run, message.text, family_.system_in_user && i == holder ? system : std::nullopt);
      }
    }
    return Open(run);
  }

  std::vector<Token> Continue(const ChatMessage& message, bool ended) const override {
    TokenRun run(tokenizer_, adds_space_);
    if (!ended) run.AddTemplate(family_.assistant_end);
    run.AddTemplate(family_.assistant_after);
    AddUser(run, message.text, std::nullopt);
    return Open(run);
  }

 private:
  using Role = ChatMessage::Role;

  std::string_view Trimmed(std::string_view text) const {
    return family_.trims ? Trim(text) : text;
  }

  void AddBos(TokenRun& run) const {
    if (tokenizer_.bos() >= 0) run.AddToken(tokenizer_.bos());
  }

  void AddSystem(TokenRun& run, std::string_view system) const {
    run.AddTemplate(family_.system_open);
    run.AddTemplate(family_.system_prefix);
    run.AddText(family_.system_in_user ? system : Trimmed(system));
    run.AddTemplate(family_.system_close);
  }

  void AddUser(TokenRun& run, std::string_view text,
               const std::optional<std::string>& system) const {
    if (family_.turns_start_with_bos) AddBos(run);
    run.AddTemplate(family_.user_open);
    if (system) AddSystem(run, *system);
    run.AddText(system && family_.trims_whole_turn ? TrimEnd(text) : Trimmed(text));
    run.AddTemplate(family_.user_close);
  }

  void AddAnswer(TokenRun& run, std::string_view text) const {
    if (!family_.thinking_end.empty()) {
      const size_t end = text.rfind(family_.thinking_end);
      if (end != std::string_view::npos) {
        text.remove_prefix(end + family_.thinking_end.size());
        while (family_.drops_line_breaks && text.starts_with('\n')) text.remove_prefix(1);
      }
    }
    run.AddTemplate(family_.assistant_open);
    run.AddTemplate(family_.answer_prefix);
    run.AddText(family_.trims_answers ? Trim(text) : Trimmed(text));
    run.AddTemplate(family_.assistant_close);
    run.AddTemplate(family_.assistant_end);
    run.AddTemplate(family_.assistant_after);
  }

  // The turn that the model writes next.
  std::vector<Token> Open(TokenRun& run) const {
    run.AddTemplate(family_.assistant_open);
    run.AddTemplate(family_.thinking_open);
    return run.Take();
  }

  ChatFamily family_;
  const Tokenizer& tokenizer_;
  const bool adds_space_;
};

}  // namespace

std::unique_ptr<ChatFormat> MakeChatFormat(std::string_view chat_template,
                                           const TokenizerSpec& spec, const Tokenizer& tokenizer) {
  const std::string eos = tokenizer.eos() < 0 ? "" : tokenizer.Piece(tokenizer.eos());
  std::optional<ChatFamily> family = RecogniseChatFamily(chat_template, eos);
  if (!family) {
    throw Error(ErrorKind::kUnsupported, spec.source +
                                             ": the chat template belongs to none of the "
                                             "known families (ChatML, Llama 2, "
                                             "Llama 3, Mistral, Zephyr, Gemma, Phi, "
                                             "DeepSeek); use --chat off and write "
                                             "the prompt yourself");
  }
  const bool adds_space = spec.kind == TokenizerKind::kSentencePiece && spec.add_space_prefix;
  return std::make_unique<FamilyFormat>(std::move(*family), tokenizer, adds_space);
}

}  // namespace quantspec
