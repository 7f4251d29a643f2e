// OpenAI's chat.completion and chat.completion.chunk.
#include "server/api/writer.h"

namespace quantspec::server {
namespace {

class ChatWriter : public Writer {
 public:
  ChatWriter(const Tokenizer& tokenizer, const ResponseHead& head)
      : tokenizer_(tokenizer), head_(head) {}

  std::string Start(int index) override {
    return Event(Chunk(index, {{"role", "assistant"}, {"content", ""}}, nullptr));
  }

  std::string Delta(int index, const Piece& piece, const LiveSpeed* speed) override {
    if (piece.text.empty() && piece.scored.empty()) return {};
    Json chunk = Chunk(index, {{"content", piece.text}}, nullptr);
    if (!piece.scored.empty()) chunk["choices"][0]["logprobs"] = Logprobs(piece.scored);
    if (speed != nullptr) chunk["timings"] = TimingsJson(*speed);
    return Event(chunk);
  }

  std::string Progress(int, const PromptProgress& progress) override {
    Json chunk = Head("chat.completion.chunk");
    chunk["choices"] = Json::array();
    chunk["prompt_progress"] = ProgressJson(progress);
    return Event(chunk);
  }

  std::string Finish(const Ending& ending) override {
    Json chunk = Chunk(ending.index, Json::object(), FinishName(ending.finish));
    chunk["timings"] = TimingsJson(ending);
    if (!ending.digest.empty()) chunk["cache_digest"] = ending.digest;
    return Event(chunk);
  }

  std::string Close(const Usage* usage) override {
    std::string text;
    if (usage != nullptr) {
      Json chunk = Head("chat.completion.chunk");
      chunk["choices"] = Json::array();
      chunk["usage"] = UsageJson(*usage);
      text = Event(chunk);
    }
    return text += kDone;
  }

  Json Whole(std::span<const Ending> endings, const Usage& usage) override {
    Json json = Head("chat.completion");
    json["choices"] = Json::array();
    for (const Ending& ending : endings) {
      Json choice = {{"index", ending.index},
                     {"message", {{"role", "assistant"}, {"content", ending.text}}},
                     {"logprobs", nullptr},
                     {"finish_reason", FinishName(ending.finish)}};
      if (!ending.scored.empty()) choice["logprobs"] = Logprobs(ending.scored);
      if (!ending.digest.empty()) choice["cache_digest"] = ending.digest;
      json["choices"].push_back(std::move(choice));
    }
    json["usage"] = UsageJson(usage);
    json["timings"] = TimingsJson(endings.front());
    if (!endings.front().digest.empty()) json["cache_digest"] = endings.front().digest;
    return json;
  }

 private:
  Json Head(const char* object) const {
    return {{"id", head_.id},
            {"object", object},
            {"created", head_.created},
            {"model", head_.model},
            {"system_fingerprint", nullptr}};
  }
  Json Chunk(int index, const Json& delta, const Json& finish) const {
    Json chunk = Head("chat.completion.chunk");
    chunk["choices"] = Json::array(
        {{{"index", index}, {"delta", delta}, {"logprobs", nullptr}, {"finish_reason", finish}}});
    return chunk;
  }
  Json Logprobs(std::span<const ScoredToken> tokens) const {
    Json content = Json::array();
    for (const ScoredToken& token : tokens) content.push_back(ScoredTokenJson(tokenizer_, token));
    return {{"content", content}, {"refusal", nullptr}};
  }

  const Tokenizer& tokenizer_;
  ResponseHead head_;
};

}  // namespace

std::unique_ptr<Writer> MakeChatWriter(const Tokenizer& tokenizer, const ResponseHead& head) {
  return std::make_unique<ChatWriter>(tokenizer, head);
}

}  // namespace quantspec::server
