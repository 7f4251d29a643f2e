#include <algorithm>
#include <charconv>

#include "server/api/order.h"

namespace quantspec::server {
namespace {

int ReadMaxTokens(Dialect dialect, const Fields& fields, int otherwise) {
  // Newer clients send only the second; -1 of llama.cpp's clients means no limit.
  for (const char* name : {"max_completion_tokens", "max_tokens", "n_predict"}) {
    if (fields.Find(name) == nullptr) continue;
    const int64_t found = fields.Integer(name, otherwise, -1, int64_t{1} << 53);
    if (found == -1) return kMostTokens;
    if (found == 0 && dialect == Dialect::kChat) {
      Refuse(name, std::string(name) + ": found 0, expected 1 or more");
    }
    return static_cast<int>(std::min<int64_t>(found, kMostTokens));
  }
  return otherwise;
}

uint64_t ReadSeed(const Fields& fields, uint64_t random_seed) {
  const Json* value = fields.Find("seed");
  if (value == nullptr) return random_seed;
  if (value->is_number_unsigned()) return value->get<uint64_t>();
  const int64_t seed = fields.Integer("seed", 0, INT64_MIN, INT64_MAX);
  // -1 is llama.cpp's word for any.
  return seed == -1 ? random_seed : static_cast<uint64_t>(seed);
}

// The bias of one token: a number, or false, which llama.cpp's clients send for never.
LogitBias BiasOf(const Json& token, const Json& bias, int vocab) {
  int64_t id = WholeNumber(token).value_or(-1);
  if (token.is_string()) {
    const std::string& text = token.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size()) id = -1;
  }
  if (id < 0 || id >= vocab) {
    Refuse("logit_bias", "logit_bias: found " + DumpJson(token).substr(0, 40) +
                             ", expected a token from 0 to " + std::to_string(vocab - 1));
  }
  const bool is_ban = bias.is_boolean() && !bias.get<bool>();
  const double value = is_ban ? -100 : bias.is_number() ? bias.get<double>() : 1000;
  if (!(value >= -100 && value <= 100)) {
    Refuse("logit_bias", "logit_bias: found " + DumpJson(bias).substr(0, 40) +
                             " for a token, expected a number from -100 to 100");
  }
  return {static_cast<Token>(id), static_cast<float>(value)};
}

std::vector<LogitBias> ReadBiases(const Fields& fields, int vocab) {
  std::vector<LogitBias> biases;
  const Json* value = fields.Find("logit_bias");
  if (value == nullptr) return biases;
  if (value->is_object()) {
    for (const auto& [token, bias] : value->items()) biases.push_back(BiasOf(token, bias, vocab));
  } else if (value->is_array()) {
    for (const Json& pair : *value) {
      if (!pair.is_array() || pair.size() != 2) {
        Refuse("logit_bias", "logit_bias: expected pairs of a token and a number");
      }
      biases.push_back(BiasOf(pair[0], pair[1], vocab));
    }
  } else {
    Refuse("logit_bias", "logit_bias: found " + TypeName(*value) + ", expected an object");
  }
  return biases;
}

int ReadLogprobs(Dialect dialect, const Fields& fields) {
  if (dialect == Dialect::kNative) {
    const auto count = fields.Integer("n_probs", 0, 0, kMaxLogprobs);
    return count == 0 ? kNoLogprobs : static_cast<int>(count);
  }
  if (dialect == Dialect::kText) {
    return static_cast<int>(fields.Integer("logprobs", kNoLogprobs, 0, kMaxLogprobs));
  }
  const auto top = static_cast<int>(fields.Integer("top_logprobs", 0, 0, kMaxLogprobs));
  if (fields.Flag("logprobs", false)) return top;
  if (top > 0) Refuse("top_logprobs", "top_logprobs: expected only where logprobs is true");
  return kNoLogprobs;
}

}  // namespace

GenerateOptions ReadGenerate(Dialect dialect, const Served& served, const Fields& fields,
                             uint64_t random_seed) {
  GenerateOptions options = served.defaults;
  SamplingOptions& sampling = options.sampling;
  const auto number = [&](const char* name, float otherwise, double low, double high) {
    return static_cast<float>(fields.Number(name, otherwise, low, high));
  };
  options.max_tokens = ReadMaxTokens(dialect, fields, options.max_tokens);
  options.ignore_end = fields.Flag("ignore_eos", false);
  options.logprobs = ReadLogprobs(dialect, fields);
  sampling.temperature = number("temperature", sampling.temperature, 0, 100);
  sampling.top_p = number("top_p", sampling.top_p, 0, 1);
  sampling.min_p = number("min_p", sampling.min_p, 0, 1);
  // -1 is vLLM's word for all.
  sampling.top_k =
      static_cast<int>(std::max<int64_t>(fields.Integer("top_k", sampling.top_k, -1, 1 << 30), 0));
  const float repeat = number("repeat_penalty", sampling.repeat_penalty, 0.01, 100);
  sampling.repeat_penalty = number("repetition_penalty", repeat, 0.01, 100);
  sampling.repeat_window =
      static_cast<int>(fields.Integer("repeat_last_n", sampling.repeat_window, 0, 1 << 24));
  sampling.presence_penalty = number("presence_penalty", sampling.presence_penalty, -2, 2);
  sampling.frequency_penalty = number("frequency_penalty", sampling.frequency_penalty, -2, 2);
  sampling.logit_bias = ReadBiases(fields, served.file->tokenizer().vocab());
  sampling.seed = ReadSeed(fields, random_seed);
  sampling.verify = VerifyRule::kCoupled;
  return options;
}

}  // namespace quantspec::server
