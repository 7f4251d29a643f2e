// A model's chat template: rendered whole, with every byte marked, then turned into tokens.

#include <ctime>

#include "quantspec/error.h"
#include "text/chat_messages.h"
#include "text/jinja/jinja.h"
#include "text/marked_tokens.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

using jinja::Origin;
using jinja::Value;

// Of all texts that rendering makes, for each byte of the conversation.
constexpr size_t kBytesForEach = 64;

class JinjaChat : public ChatTemplate {
 public:
  JinjaChat(ChatTemplateTexts texts, const TokenizerSpec& spec, const NamingTokenizer& tokenizer)
      : texts_(std::move(texts)), source_(spec.source), tokenizer_(tokenizer) {
    for (const auto& [name, token] : {std::pair{"bos_token", tokenizer.bos()},
                                      {"eos_token", tokenizer.eos()},
                                      {"unk_token", spec.unknown}}) {
      if (token >= 0) special_.emplace_back(name, Value(tokenizer.Piece(token), Origin::kTemplate));
    }
    if (const std::string* text = FindText(/*with_tools=*/false)) {
      usual_ = std::make_unique<const jinja::Template>(Parse(*text));
    }
  }

  std::vector<Token> Format(std::span<const ChatMessage> messages) const override {
    size_t bytes = 0;
    for (const ChatMessage& message : messages) bytes += message.text.size();
    return EncodeMarked(tokenizer_, Run({}, MessagesOf(messages), Value(), true, bytes));
  }

  ChatPrompt Render(const ChatRequest& request) const override {
    const jinja::MarkedText text =
        Run(VariablesOf(request.variables), MessagesOf(request.messages), ToolsOf(request.tools),
            request.add_generation_prompt,
            request.messages.size() + request.tools.size() + request.variables.size());
    return {text.bytes(), EncodeMarked(tokenizer_, text), NameOf(!request.tools.empty())};
  }

 private:
  const std::string* FindText(bool with_tools) const {
    const auto find = [&](std::string_view wanted) -> const std::string* {
      for (const auto& [name, text] : texts_.named) {
        if (name == wanted) return &text;
      }
      return nullptr;
    };
    const std::string* found = with_tools ? find("tool_use") : nullptr;
    if (found == nullptr && texts_.text) found = &*texts_.text;
    return found == nullptr ? find("default") : found;
  }

  std::string NameOf(bool with_tools) const {
    if (texts_.named.empty()) return "";
    const std::string* used = FindText(with_tools);
    for (const auto& [name, text] : texts_.named) {
      if (&text == used) return name;
    }
    return "default";
  }

  jinja::Template Parse(const std::string& text) const {
    try {
      return jinja::Template(text, source_ + ": the chat template");
    } catch (const Error& error) {
      throw Error(error.kind(), std::string(error.what()) +
                                    "; give another one with --chat-template, or raw text with "
                                    "--chat off");
    }
  }

  // `variables`: the request's own.
  jinja::MarkedText Run(jinja::Variables variables, const Value& messages, const Value& tools,
                        bool add_generation_prompt, size_t bytes) const {
    variables.insert(variables.end(), special_.begin(), special_.end());
    variables.emplace_back("messages", messages);
    variables.emplace_back("tools", tools);
    variables.emplace_back("documents", Value());
    variables.emplace_back("add_generation_prompt", Value(add_generation_prompt));
    jinja::Limits limits;
    limits.bytes += static_cast<int64_t>(bytes * kBytesForEach);
    const std::string* text = FindText(!tools.is_none());
    if (text == nullptr) {
      throw Error(ErrorKind::kUnsupported,
                  source_ +
                      ": found chat templates for other conversations only, expected one "
                      "named default; give one with --chat-template");
    }
    const std::time_t now = std::time(nullptr);
    if (usual_ && text == FindText(/*with_tools=*/false)) {
      return usual_->Render(variables, limits, now);
    }
    return Parse(*text).Render(variables, limits, now);
  }

  ChatTemplateTexts texts_;
  std::string source_;
  const NamingTokenizer& tokenizer_;
  jinja::Variables special_;
  std::unique_ptr<const jinja::Template> usual_;
};

}  // namespace

std::unique_ptr<ChatTemplate> MakeChatTemplate(const ChatTemplateTexts& texts,
                                               const TokenizerSpec& spec,
                                               const NamingTokenizer& tokenizer) {
  return std::make_unique<JinjaChat>(texts, spec, tokenizer);
}

}  // namespace quantspec
