// OpenAI's chat.completion with chat.completion.chunk, and its older text_completion.
#include <vector>

#include "server/api/writer.h"

namespace quantspec::server {
namespace {

constexpr bool kWhole = true, kPart = false;  // an answer, or an event of a stream

// What both have in common: all but heads and choices.
class OpenAiWriter : public Writer {
 public:
  OpenAiWriter(const Tokenizer& tokenizer, const ResponseHead& head)
      : tokenizer_(tokenizer), head_(head) {}

  std::string Start(int) override { return {}; }

  std::string Delta(int index, const Piece& piece, const LiveSpeed* speed) override {
    if (piece.text.empty() && piece.scored.empty()) return {};
    Json chunk = ChunkOf(Choice(kPart, index, piece.text, piece.scored, nullptr));
    if (speed != nullptr) chunk["timings"] = TimingsJson(*speed);
    return Event(chunk);
  }

  std::string Progress(int, const PromptProgress& progress) override {
    Json chunk = Response(kPart);
    chunk["prompt_progress"] = ProgressJson(progress);
    return Event(chunk);
  }

  std::string Finish(const Ending& ending) override {
    Json chunk = ChunkOf(Choice(kPart, ending.index, "", {}, FinishName(ending.finish)));
    chunk["timings"] = TimingsJson(ending);
    if (!ending.digest.empty()) chunk["cache_digest"] = ending.digest;
    return Event(chunk);
  }

  std::string Close(const Usage* usage) override {
    std::string text;
    if (usage != nullptr) {
      Json chunk = Response(kPart);
      chunk["usage"] = UsageJson(*usage);
      text = Event(chunk);
    }
    return text += kDone;
  }

  Json Whole(std::span<const Ending> endings, const Usage& usage) override {
    Json json = Response(kWhole);
    for (const Ending& ending : endings) {
      Json choice =
          Choice(kWhole, ending.index, ending.text, ending.scored, FinishName(ending.finish));
      if (!ending.digest.empty()) choice["cache_digest"] = ending.digest;
      json["choices"].push_back(std::move(choice));
    }
    json["usage"] = UsageJson(usage);
    json["timings"] = TimingsJson(endings.front());
    if (!endings.front().digest.empty()) json["cache_digest"] = endings.front().digest;
    return json;
  }

 protected:
  virtual Json Head(bool is_whole) const = 0;
  // Of a part, a `finish` that is not null says that the answer is over.
  virtual Json Choice(bool is_whole, int index, const std::string& text,
                      std::span<const ScoredToken> scored, const Json& finish) = 0;

  // With a choice.
  Json ChunkOf(Json choice) const {
    Json json = Response(kPart);
    json["choices"].push_back(std::move(choice));
    return json;
  }
  // Without any.
  Json Response(bool is_whole) const {
    Json json = Head(is_whole);
    json["choices"] = Json::array();
    return json;
  }

  const Tokenizer& tokenizer_;
  const ResponseHead head_;
};

class ChatWriter : public OpenAiWriter {
 public:
  using OpenAiWriter::OpenAiWriter;

  std::string Start(int index) override {
    return Event(ChunkOf(ChoiceWith(index, "delta", Message(""), {}, nullptr)));
  }

 protected:
  Json Head(bool is_whole) const override {
    return {{"id", head_.id},
            {"object", is_whole ? "chat.completion" : "chat.completion.chunk"},
            {"created", head_.created},
            {"model", head_.model},
            {"system_fingerprint", nullptr}};
  }
  Json Choice(bool is_whole, int index, const std::string& text,
              std::span<const ScoredToken> scored, const Json& finish) override {
    if (is_whole) return ChoiceWith(index, "message", Message(text), scored, finish);
    Json delta = Json::object();
    if (finish.is_null()) delta["content"] = text;
    return ChoiceWith(index, "delta", delta, scored, finish);
  }

 private:
  static Json Message(const std::string& text) {
    return {{"role", "assistant"}, {"content", text}};
  }
  Json ChoiceWith(int index, const char* name, const Json& content,
                  std::span<const ScoredToken> scored, const Json& finish) const {
    Json choice = {
        {"index", index}, {name, content}, {"logprobs", nullptr}, {"finish_reason", finish}};
    if (!scored.empty()) choice["logprobs"] = Logprobs(scored);
    return choice;
  }
  Json Logprobs(std::span<const ScoredToken> tokens) const {
    Json content = Json::array();
    for (const ScoredToken& token : tokens) content.push_back(ScoredTokenJson(tokenizer_, token));
    return {{"content", content}, {"refusal", nullptr}};
  }
};

class TextWriter : public OpenAiWriter {
 public:
  using OpenAiWriter::OpenAiWriter;

 protected:
  Json Head(bool) const override {
    return {{"id", head_.id},
            {"object", "text_completion"},
            {"created", head_.created},
            {"model", head_.model}};
  }
  Json Choice(bool, int index, const std::string& text, std::span<const ScoredToken> scored,
              const Json& finish) override {
    Json choice = {
        {"index", index}, {"text", text}, {"logprobs", nullptr}, {"finish_reason", finish}};
    if (!scored.empty()) choice["logprobs"] = Logprobs(index, scored);
    return choice;
  }

 private:
  // Lists side by side, as this older API has them; offsets are in bytes of the answer.
  Json Logprobs(int index, std::span<const ScoredToken> scored) {
    if (offsets_.size() <= static_cast<size_t>(index)) {
      offsets_.resize(static_cast<size_t>(index) + 1);
    }
    size_t& offset = offsets_[static_cast<size_t>(index)];
    Json json = {{"tokens", Json::array()},
                 {"token_logprobs", Json::array()},
                 {"top_logprobs", Json::array()},
                 {"text_offset", Json::array()}};
    for (const ScoredToken& token : scored) {
      const std::string piece = tokenizer_.Piece(token.token);
      json["tokens"].push_back(piece);
      json["token_logprobs"].push_back(FiniteLogprob(token.logprobs.front().logprob));
      Json top = Json::object();
      for (size_t i = 1; i < token.logprobs.size(); ++i) {
        top[tokenizer_.Piece(token.logprobs[i].token)] = FiniteLogprob(token.logprobs[i].logprob);
      }
      json["top_logprobs"].push_back(std::move(top));
      json["text_offset"].push_back(offset);
      offset += piece.size();
    }
    return json;
  }

  std::vector<size_t> offsets_;  // of each answer's next token
};

}  // namespace

std::unique_ptr<Writer> MakeChatWriter(const Tokenizer& tokenizer, const ResponseHead& head) {
  return std::make_unique<ChatWriter>(tokenizer, head);
}

std::unique_ptr<Writer> MakeTextWriter(const Tokenizer& tokenizer, const ResponseHead& head) {
  return std::make_unique<TextWriter>(tokenizer, head);
}

}  // namespace quantspec::server
