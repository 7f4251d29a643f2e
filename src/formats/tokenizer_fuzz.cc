// Input that begins like a GGUF file: its metadata is a tokenizer and a chat template, or an Error.
// Any other input: text that goes through tiny tokenizers and the streaming decoder.
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "formats/gguf_tokenizer.h"
#include "quant/ggml_blocks.h"
#include "quantspec/error.h"
#include "text/tiny_vocabulary.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quantspec {
namespace {

constexpr std::string_view kText = " hello, w\xC3\xB6rld <|im_end|>\n\n  12345\xFF he";

void CheckTokens(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  for (const Token token : tokens) QS_CHECK(token >= 0 && token < tokenizer.vocab());
}

// Streams `tokens`: whole characters only, all of them.
void CheckStream(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  TextStream stream(tokenizer);
  std::string streamed, pieces;
  const auto add = [&](std::string_view part) {
    for (size_t at = 0; at < part.size();) {
      const Utf8Step step = NextUtf8(part.substr(at));
      QS_CHECK(step.kind == Utf8Kind::kValid);
      at += step.bytes;
    }
    streamed += part;
  };
  for (const Token token : tokens) {
    add(stream.Push(token));
    pieces += tokenizer.Piece(token);
  }
  add(stream.Finish());
  std::string mended;
  for (size_t at = 0; at < pieces.size();) {
    const Utf8Step step = NextUtf8(std::string_view(pieces).substr(at));
    mended += step.kind == Utf8Kind::kValid ? pieces.substr(at, step.bytes) : kReplacement;
    at += step.bytes;
  }
  QS_CHECK(streamed == mended);
}

void TryText(const Tokenizer& tokenizer, std::string_view text, bool is_lossless) {
  const std::vector<Token> plain = tokenizer.Encode(text, SpecialTokens::kAsText);
  CheckTokens(tokenizer, plain);
  CheckTokens(tokenizer, tokenizer.Encode(text, SpecialTokens::kParse));
  CheckStream(tokenizer, plain);
  if (!is_lossless) return;
  for (const Token token : plain) QS_CHECK(!tokenizer.IsSpecial(token));
  QS_CHECK(tokenizer.Decode(plain) == text);
}

void TryFile(std::string_view bytes) {
  try {
    const Gguf file = Gguf::Parse(std::as_bytes(std::span(bytes)), "fuzz", GgmlTypeSize);
    std::vector<std::string> warnings;
    const TokenizerSpec spec = ReadGgufTokenizer(file, nullptr, &warnings);
    const auto tokenizer = MakeTokenizer(spec);
    TryText(*tokenizer, kText, /*is_lossless=*/false);
    const auto chat_template = file.String("tokenizer.chat_template");
    if (!chat_template) return;
    const std::unique_ptr<ChatTemplate> chat =
        MakeChatTemplate({std::string(*chat_template)}, spec, *tokenizer);
    using Role = ChatMessage::Role;
    CheckTokens(*tokenizer, chat->Format(std::vector<ChatMessage>{{Role::kSystem, "Be brief."},
                                                                  {Role::kUser, "Hi"},
                                                                  {Role::kAssistant, "Hello"},
                                                                  {Role::kUser, "Bye"}}));
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace quantspec

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantspec;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.starts_with("GGUF")) {
    TryFile(input);
    return 0;
  }
  static const std::unique_ptr<Tokenizer> gpt2 = MakeTokenizer(TinyBpe("gpt-2"));
  static const std::unique_ptr<Tokenizer> smollm = MakeTokenizer(TinyBpe("smollm"));
  static const std::unique_ptr<Tokenizer> llama3 = MakeTokenizer(TinyBpe("llama-bpe"));
  static const std::unique_ptr<Tokenizer> qwen2 = MakeTokenizer(TinyBpe("qwen2"));
  static const std::unique_ptr<Tokenizer> deepseek = MakeTokenizer(TinyBpe("deepseek-llm"));
  static const std::unique_ptr<Tokenizer> spm = MakeTokenizer(TinySpm());
  for (const Tokenizer* tokenizer : {gpt2.get(), smollm.get(), llama3.get(), deepseek.get()}) {
    TryText(*tokenizer, input, /*is_lossless=*/true);
  }
  TryText(*qwen2, input, /*is_lossless=*/false);  // composes characters
  // A sign for a space in the text comes back as a space.
  TryText(*spm, input, input.find("\xE2\x96\x81") == std::string_view::npos);
  return 0;
}
