// Text in and out of a model: tokens, chat prompts, and streaming that never splits a character.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/types.h"

namespace quantspec {

// How text is turned into tokens. Document text is never parsed for special tokens: a document
// that contains "<|im_end|>" is text, not an instruction.
enum class SpecialTokens { kAsText, kParse };

// Immutable and safe to share between threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int vocab() const = 0;
  // Tokens of `text`, without BOS or EOS. Any bytes are accepted, invalid UTF-8 too.
  virtual std::vector<Token> Encode(std::string_view text, SpecialTokens special) const = 0;
  // The bytes of one token as they appear in running text; special tokens give their name.
  // Out-of-range ids throw Error{kUsage}.
  virtual std::string Piece(Token token) const = 0;
  // The text of `tokens`, e.g. without the space that SentencePiece models add in front.
  virtual std::string Decode(std::span<const Token> tokens) const = 0;
  virtual bool IsSpecial(Token token) const = 0;
  // True if generation ends here: EOS, EOT, <|im_end|> and their like, from the file's metadata.
  virtual bool IsEnd(Token token) const = 0;
  // -1 where the model has none.
  virtual Token bos() const = 0;
  virtual Token eos() const = 0;
  // True if the model's metadata asks for a BOS in front of a prompt.
  virtual bool adds_bos() const = 0;
};

struct ChatMessage {
  enum class Role { kSystem, kUser, kAssistant };
  Role role = Role::kUser;
  std::string text;
};

// How a conversation becomes a prompt.
class ChatFormat {
 public:
  virtual ~ChatFormat() = default;
  // Tokens of the whole conversation, ready for the assistant's next turn; BOS included where the
  // model wants one. Special tokens never come from the texts of `messages`. Throws Error{kUsage}
  // for a conversation that the format refuses.
  virtual std::vector<Token> Format(std::span<const ChatMessage> messages) const = 0;
};

struct ChatRequest {
  std::string messages;               // JSON: a list of {"role": ..., "content": ..., ...}
  std::string tools;                  // JSON: a list of tools; empty: none
  bool add_generation_prompt = true;  // opens the turn that the model writes next
  // JSON: an object of more variables for the template, e.g. {"enable_thinking": false}; empty:
  // none. Names that every template gets (messages, tools, ...) keep their own values.
  std::string variables = {};
};

struct ChatPrompt {
  std::string text;  // byte for byte as Python's jinja2 renders the template
  std::vector<Token> tokens;
  std::string template_name;  // of several, the one that wrote it; else empty
};

// A model's chat template: a program that writes the prompt. Immutable and safe to share between
// threads.
class ChatTemplate : public ChatFormat {
 public:
  // Throws Error{kUsage}: for JSON that is no conversation, and naming the template's line for what
  // it refuses or does wrong.
  virtual ChatPrompt Render(const ChatRequest& request) const = 0;
};

// Turns tokens into text piece by piece; a UTF-8 character whose bytes are spread over several
// tokens is held back until it is whole. Invalid bytes come out as U+FFFD.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer);
  ~TextStream();
  TextStream(const TextStream&) = delete;
  TextStream& operator=(const TextStream&) = delete;

  // The text that `token` completes; may be empty. Valid until the next call.
  std::string_view Push(Token token);
  // What is still held back, as U+FFFD.
  std::string_view Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Finds stop texts in text that arrives in pieces, and holds back what may become one.
class StopText {
 public:
  // Empty texts are not allowed.
  explicit StopText(std::vector<std::string> stops);

  // The text that may be shown after `piece`. Once found() is true it ends before the first stop
  // text, and later calls give nothing.
  std::string Push(std::string_view piece);
  // What was held back.
  std::string Finish();
  bool found() const { return found_; }
  // The stop text that was found first, "" before.
  const std::string& which() const { return which_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::string which_;
  bool found_ = false;
};

}  // namespace quantspec
