// OpenAI's text_completion.
#include <vector>

#include "server/api/writer.h"

namespace quantspec::server {
namespace {

class TextWriter : public Writer {
 public:
  TextWriter(const Tokenizer& tokenizer, const ResponseHead& head)
      : tokenizer_(tokenizer), head_(head) {}

  std::string Start(int) override { return {}; }

  std::string Delta(int index, const Piece& piece, const LiveSpeed* speed) override {
    if (piece.text.empty() && piece.scored.empty()) return {};
    Json chunk = Head();
    chunk["choices"] = Json::array({Choice(index, piece.text, piece.scored, nullptr)});
    if (speed != nullptr) chunk["timings"] = TimingsJson(*speed);
    return Event(chunk);
  }

  std::string Progress(int, const PromptProgress& progress) override {
    Json chunk = Head();
    chunk["choices"] = Json::array();
    chunk["prompt_progress"] = ProgressJson(progress);
    return Event(chunk);
  }

  std::string Finish(const Ending& ending) override {
    Json chunk = Head();
    chunk["choices"] = Json::array({Choice(ending.index, "", {}, FinishName(ending.finish))});
    chunk["timings"] = TimingsJson(ending);
    if (!ending.digest.empty()) chunk["cache_digest"] = ending.digest;
    return Event(chunk);
  }

  std::string Close(const Usage* usage) override {
    std::string text;
    if (usage != nullptr) {
      Json chunk = Head();
      chunk["choices"] = Json::array();
      chunk["usage"] = UsageJson(*usage);
      text = Event(chunk);
    }
    return text += kDone;
  }

  Json Whole(std::span<const Ending> endings, const Usage& usage) override {
    Json json = Head();
    json["choices"] = Json::array();
    for (const Ending& ending : endings) {
      offsets_.clear();
      Json choice = Choice(ending.index, ending.text, ending.scored, FinishName(ending.finish));
      if (!ending.digest.empty()) choice["cache_digest"] = ending.digest;
      json["choices"].push_back(std::move(choice));
    }
    json["usage"] = UsageJson(usage);
    json["timings"] = TimingsJson(endings.front());
    if (!endings.front().digest.empty()) json["cache_digest"] = endings.front().digest;
    return json;
  }

 private:
  Json Head() const {
    return {{"id", head_.id},
            {"object", "text_completion"},
            {"created", head_.created},
            {"model", head_.model}};
  }
  Json Choice(int index, const std::string& text, std::span<const ScoredToken> scored,
              const Json& finish) {
    Json choice = {
        {"index", index}, {"text", text}, {"logprobs", nullptr}, {"finish_reason", finish}};
    if (!scored.empty()) choice["logprobs"] = Logprobs(index, scored);
    return choice;
  }
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

  const Tokenizer& tokenizer_;
  ResponseHead head_;
  std::vector<size_t> offsets_;  // of each answer's next token
};

}  // namespace

std::unique_ptr<Writer> MakeTextWriter(const Tokenizer& tokenizer, const ResponseHead& head) {
  return std::make_unique<TextWriter>(tokenizer, head);
}

}  // namespace quantspec::server
