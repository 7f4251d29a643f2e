#include "server/api/writer.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "cli/json.h"

namespace quantspec::server {
namespace {

using cli::PerSecond;

constexpr double kLeastLogprob = -9999;

Json BytesOf(const std::string& piece) {
  Json bytes = Json::array();
  for (const char c : piece) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

double MillisecondsEach(double count, double seconds) {
  return count > 0 ? 1000 * seconds / count : 0;
}

}  // namespace

std::string RandomId(const std::string& prefix) {
  static constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::string id = prefix;
  for (int i = 0; i < 24; ++i) id += kLetters[random() % kLetters.size()];
  return id;
}

std::string Event(const Json& json) { return "data: " + DumpJson(json) + "\n\n"; }
std::string ErrorEventText(const ApiError& error) { return "data: " + ErrorText(error) + "\n\n"; }

Json UsageJson(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

Json TimingsJson(const Ending& ending) {
  const GenerateStats& stats = ending.stats;
  const int read = ending.prompt_tokens - stats.cached_tokens;
  const int count = ending.completion_tokens;
  return {{"cache_n", stats.cached_tokens},
          {"prompt_n", read},
          {"prompt_ms", 1000 * stats.prefill_s},
          {"prompt_per_token_ms", MillisecondsEach(read, stats.prefill_s)},
          {"prompt_per_second", PerSecond(read, stats.prefill_s)},
          {"predicted_n", count},
          {"predicted_ms", 1000 * stats.decode_s},
          {"predicted_per_token_ms", MillisecondsEach(count, stats.decode_s)},
          {"predicted_per_second", PerSecond(count, stats.decode_s)},
          {"draft_n", stats.drafted},
          {"draft_n_accepted", stats.accepted}};
}

Json TimingsJson(const LiveSpeed& speed) {
  return {{"predicted_n", speed.tokens},
          {"predicted_ms", 1000 * speed.seconds},
          {"predicted_per_second", PerSecond(speed.tokens, speed.seconds)},
          {"draft_n", speed.drafted},
          {"draft_n_accepted", speed.accepted}};
}

Json ProgressJson(const PromptProgress& progress) {
  return {{"total", progress.total},
          {"processed", progress.done},
          {"time_ms", std::llround(1000 * progress.seconds)}};
}

const char* FinishName(FinishReason finish) {
  return finish == FinishReason::kLength ? "length" : "stop";
}

double FiniteLogprob(float logprob) {
  return std::isnan(logprob) ? kLeastLogprob : std::max<double>(logprob, kLeastLogprob);
}

Json ScoredTokenJson(const Tokenizer& tokenizer, const ScoredToken& scored) {
  const auto entry = [&](const TokenLogprob& one) -> Json {
    const std::string piece = tokenizer.Piece(one.token);
    return {{"token", piece}, {"logprob", FiniteLogprob(one.logprob)}, {"bytes", BytesOf(piece)}};
  };
  Json json = entry(scored.logprobs.front());
  json["top_logprobs"] = Json::array();
  for (size_t i = 1; i < scored.logprobs.size(); ++i) {
    json["top_logprobs"].push_back(entry(scored.logprobs[i]));
  }
  return json;
}

std::unique_ptr<Writer> MakeWriter(const Order& order, const Tokenizer& tokenizer,
                                   const ResponseHead& head) {
  switch (order.dialect) {
    case Dialect::kChat:
      return MakeChatWriter(tokenizer, head);
    case Dialect::kText:
      return MakeTextWriter(tokenizer, head);
    case Dialect::kNative:
      break;
  }
  return MakeNativeWriter(tokenizer, head);
}

}  // namespace quantspec::server
