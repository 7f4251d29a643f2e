// How answers are written: whole or as server-sent events, in the dialect of the request.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "server/api/answer_text.h"
#include "server/api/order.h"

namespace quantspec::server {

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;  // of the prompts, from the prompt store
};

// One answer that is over.
struct Ending {
  int index = 0;     // of the choice
  std::string text;  // all of it
  std::vector<ScoredToken> scored;
  FinishReason finish = FinishReason::kStop;
  std::string stop_text;  // empty: none was found
  bool context_full = false;
  int completion_tokens = 0;
  int prompt_tokens = 0;
  GenerateStats stats;
  std::string digest;  // if asked for
};

// How far a prompt is read.
struct PromptProgress {
  int total = 0;
  int done = 0;
  double seconds = 0;
};

// Speeds so far, for who asked for them with every token.
struct LiveSpeed {
  int tokens = 0;
  double seconds = 0;
  int64_t drafted = 0;
  int64_t accepted = 0;
};

// What all responses of a request carry.
struct ResponseHead {
  std::string id;
  int64_t created = 0;  // seconds since 1970
  std::string model;
};

class Writer {
 public:
  virtual ~Writer() = default;

  // ---- events of a stream, each complete with its empty line; empty texts are none
  virtual std::string Start(int index) = 0;
  virtual std::string Delta(int index, const Piece& piece, const LiveSpeed* speed) = 0;
  virtual std::string Progress(int index, const PromptProgress& progress) = 0;
  virtual std::string Finish(const Ending& ending) = 0;
  // After all answers; `usage` only if it was asked for.
  virtual std::string Close(const Usage* usage) = 0;

  // ---- the answer to a plain request
  virtual Json Whole(std::span<const Ending> endings, const Usage& usage) = 0;
};

std::unique_ptr<Writer> MakeWriter(const Order& order, const Tokenizer& tokenizer,
                                   const ResponseHead& head);
// The parts of MakeWriter.
std::unique_ptr<Writer> MakeChatWriter(const Tokenizer& tokenizer, const ResponseHead& head);
std::unique_ptr<Writer> MakeTextWriter(const Tokenizer& tokenizer, const ResponseHead& head);
std::unique_ptr<Writer> MakeNativeWriter(const Tokenizer& tokenizer, const ResponseHead& head);

// "chatcmpl-...", of 24 random letters and digits.
std::string RandomId(const std::string& prefix);
std::string Event(const Json& json);                // "data: {...}\n\n"
std::string ErrorEventText(const ApiError& error);  // the same of an error
inline constexpr std::string_view kKeepAlive = ": keep-alive\n\n";
inline constexpr std::string_view kDone = "data: [DONE]\n\n";

Json UsageJson(const Usage& usage);
// llama.cpp's `timings`, with what was drafted and what came from the prompt store.
Json TimingsJson(const Ending& ending);
Json TimingsJson(const LiveSpeed& speed);
Json ProgressJson(const PromptProgress& progress);
const char* FinishName(FinishReason finish);  // "stop", "length"
// OpenAI's entry of a chat's logprobs.content: token, logprob, bytes, top_logprobs.
Json ScoredTokenJson(const Tokenizer& tokenizer, const ScoredToken& scored);
// JSON has no infinity: -9999 at least.
double FiniteLogprob(float logprob);

}  // namespace quantspec::server
