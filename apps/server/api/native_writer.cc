// llama.cpp's /completion.
#include "server/api/writer.h"

namespace quantspec::server {
namespace {

class NativeWriter : public Writer {
 public:
  NativeWriter(const Tokenizer& tokenizer, const ResponseHead& head)
      : tokenizer_(tokenizer), head_(head) {}

  std::string Start(int) override { return {}; }

  std::string Delta(int index, const Piece& piece, const LiveSpeed* speed) override {
    if (piece.text.empty() && piece.scored.empty()) return {};
    Json chunk = {{"index", index}, {"content", piece.text}, {"stop", false}};
    if (!piece.scored.empty()) chunk["completion_probabilities"] = Probabilities(piece.scored);
    if (speed != nullptr) chunk["timings"] = TimingsJson(*speed);
    return Event(chunk);
  }

  std::string Progress(int index, const PromptProgress& progress) override {
    return Event({{"index", index},
                  {"content", ""},
                  {"stop", false},
                  {"prompt_progress", ProgressJson(progress)}});
  }

  std::string Finish(const Ending& ending) override { return Event(End(ending, "")); }
  std::string Close(const Usage*) override { return {}; }

  Json Whole(std::span<const Ending> endings, const Usage&) override {
    if (endings.size() == 1) return WholeOf(endings.front());
    Json list = Json::array();
    for (const Ending& ending : endings) list.push_back(WholeOf(ending));
    return list;
  }

 private:
  Json WholeOf(const Ending& ending) const {
    Json json = End(ending, ending.text);
    if (!ending.scored.empty()) json["completion_probabilities"] = Probabilities(ending.scored);
    return json;
  }
  Json End(const Ending& ending, const std::string& content) const {
    const bool is_stopped = !ending.stop_text.empty();
    const char* type = ending.finish == FinishReason::kLength ? "limit"
                       : is_stopped                           ? "word"
                                                              : "eos";
    Json json = {{"index", ending.index},
                 {"content", content},
                 {"stop", true},
                 {"model", head_.model},
                 {"tokens_predicted", ending.completion_tokens},
                 {"tokens_evaluated", ending.prompt_tokens},
                 {"tokens_cached", ending.stats.cached_tokens},
                 {"truncated", false},
                 {"stop_type", type},
                 {"stopping_word", ending.stop_text},
                 {"timings", TimingsJson(ending)}};
    if (!ending.digest.empty()) json["cache_digest"] = ending.digest;
    return json;
  }
  Json Probabilities(std::span<const ScoredToken> scored) const {
    Json list = Json::array();
    for (const ScoredToken& token : scored) {
      Json json = ScoredTokenJson(tokenizer_, token);
      json["id"] = token.token;
      list.push_back(std::move(json));
    }
    return list;
  }

  const Tokenizer& tokenizer_;
  ResponseHead head_;
};

}  // namespace

std::unique_ptr<Writer> MakeNativeWriter(const Tokenizer& tokenizer, const ResponseHead& head) {
  return std::make_unique<NativeWriter>(tokenizer, head);
}

}  // namespace quantspec::server
