// What a request asks for, read and checked: prompts as tokens, and how to answer them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "quantspec/engine.h"
#include "server/api/fields.h"

namespace quantspec::server {

// Whose request it is: OpenAI's chat and text completions, or llama.cpp's completion.
enum class Dialect { kChat, kText, kNative };

// What requests are read against. Immutable while they are.
struct Served {
  const ModelFile* file = nullptr;
  std::string name;  // of the model, as clients see it
  int context = 0;   // the most tokens of a prompt and its answer
  // Where a request does not say; max_tokens may be more than any context.
  GenerateOptions defaults;
};

inline constexpr int kMostTokens = 1 << 24;
inline constexpr size_t kMostPrompts = 64;  // of a request, each as often as it is answered
// Of an answer whose length nobody said, as long as it is not longer.
inline constexpr int kReserveTokens = 2048;

struct Order {
  Dialect dialect = Dialect::kChat;
  std::vector<std::vector<Token>> prompts;  // each leaves room for a token of the answer
  int answers = 1;                          // to each prompt
  GenerateOptions generate;                 // max_tokens: as asked for, not what the context allows
  // Tokens of each answer that there is room for from the beginning; 0: all. For requests that do
  // not say how long an answer may be.
  int reserve_tokens = 0;
  std::vector<std::string> stops;
  bool streams = false;
  bool wants_usage = false;     // stream_options.include_usage
  bool wants_progress = false;  // return_progress
  bool wants_speed = false;     // timings_per_token
  bool wants_digest = false;    // cache_digest
  std::string salt;             // prompts with other salts share nothing with it
};

// Reads the body of a request. Throws ApiFailure, and Error{kUsage} where the chat template refuses
// a conversation. `random_seed`: for a request that gives none.
Order ReadOrder(Dialect dialect, const Served& served, std::string_view body, uint64_t random_seed);

// The parts, for tests and for each other.
GenerateOptions ReadGenerate(Dialect dialect, const Served& served, const Fields& fields,
                             uint64_t random_seed);
std::vector<Token> ReadConversation(const Served& served, const Fields& fields);
// The prompts of a text completion: a text, a list of texts, of tokens, or of lists of tokens.
std::vector<std::vector<Token>> ReadPrompts(const Served& served, const Fields& fields);
// The ids in the list `list`, which stands in the field `param`.
std::vector<Token> ReadTokens(const std::string& param, const Json& list, int vocab);
// Tokens of a raw prompt: special tokens are read as such, since whoever sends one wrote it all.
std::vector<Token> EncodeRawPrompt(const Tokenizer& tokenizer, std::string_view text);

}  // namespace quantspec::server
