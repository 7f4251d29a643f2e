#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"
#include "base/view.h"
#include "decode/gumbel_noise.h"
#include "decode/logit_blocks.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

// Below this, probabilities of unequal logits are 0 or 1 in float anyway.
constexpr float kLeastTemperature = 1e-6f;

void CheckRange(bool ok, const char* option, double found, const char* expected) {
  if (ok) return;
  throw Error(ErrorKind::kUsage, std::string("sampling: ") + option + " is " +
                                     std::to_string(found) + ", expected " + expected);
}

struct Layout {
  size_t maxima, scratch, adjusted, candidates, total;
};

Layout LayoutFor(int tokens, size_t candidate_bytes) {
  const auto padded = [](size_t bytes) {
    return static_cast<size_t>(RoundUp(static_cast<int64_t>(bytes), 64));
  };
  const size_t blocks = padded(static_cast<size_t>(LogitBlocks(tokens)) * sizeof(float));
  const size_t row = padded(static_cast<size_t>(tokens) * sizeof(float));
  Layout layout{};
  layout.scratch = blocks;
  layout.adjusted = 2 * blocks;
  layout.candidates = 2 * blocks + row;
  layout.total = layout.candidates + padded(static_cast<size_t>(tokens) * candidate_bytes);
  return layout;
}

}  // namespace

void CheckSampling(const SamplingOptions& o) {
  CheckRange(o.temperature >= 0.0f && o.temperature <= 1e6f, "temperature", o.temperature,
             "0 (greedy) to 1000000");
  CheckRange(o.top_k >= 0, "top-k", o.top_k, "0 (off) or more");
  CheckRange(o.top_p >= 0.0f && o.top_p <= 1.0f, "top-p", o.top_p, "0 to 1 (off)");
  CheckRange(o.min_p >= 0.0f && o.min_p <= 1.0f, "min-p", o.min_p, "0 (off) to 1");
  CheckRange(o.repeat_penalty > 0.0f && o.repeat_penalty <= 1e6f, "repeat penalty",
             o.repeat_penalty, "more than 0, at most 1000000; 1 is off");
  CheckRange(o.repeat_window >= 0, "repeat window", o.repeat_window, "0 or more tokens");
  CheckRange(std::fabs(o.presence_penalty) <= 2.0f, "presence penalty", o.presence_penalty,
             "-2 to 2; 0 is off");
  CheckRange(std::fabs(o.frequency_penalty) <= 2.0f, "frequency penalty", o.frequency_penalty,
             "-2 to 2; 0 is off");
  for (const LogitBias& bias : o.logit_bias) {
    CheckRange(std::fabs(bias.bias) <= 100.0f, "a logit bias", bias.bias, "-100 to 100");
  }
}

Sampler::Sampler(int vocab, int tokens) : vocab_(vocab), tokens_(tokens), memory_(Bytes(tokens)) {
  QS_CHECK(tokens > 0 && tokens <= vocab);
  const Layout layout = LayoutFor(tokens, sizeof(Candidate));
  const size_t blocks = static_cast<size_t>(LogitBlocks(tokens));
  const size_t count = static_cast<size_t>(tokens);
  const auto floats = [&](size_t offset, size_t n) {
    return std::span<float>(reinterpret_cast<float*>(memory_.data() + offset), n);
  };
  maxima_ = floats(layout.maxima, blocks);
  maxima_scratch_ = floats(layout.scratch, blocks);
  adjusted_ = floats(layout.adjusted, count);
  candidates_ = {reinterpret_cast<Candidate*>(memory_.data() + layout.candidates), count};
}

uint64_t Sampler::Bytes(int tokens) { return LayoutFor(tokens, sizeof(Candidate)).total; }

void Sampler::Configure(const SamplingOptions& options, size_t history) {
  options_ = options;
  history_ = history;
  scale_ = 1.0 / std::max(options.temperature, kLeastTemperature);
}

void Sampler::Read(std::span<const float> logits, std::span<const Token> context,
                   const PackMaxima& maxima, NotFinite not_finite) {
  QS_CHECK(logits.size() == static_cast<size_t>(vocab_));
  QS_CHECK(maxima.values.empty() ||
           (maxima.pack > 0 && kLogitBlock % maxima.pack == 0 &&
            maxima.values.size() == static_cast<size_t>(CeilDiv(vocab_, maxima.pack))));
  logits_ = logits.first(static_cast<size_t>(tokens_));
  const bool is_adjusted = Adjust(context);
  const bool at_hand = !maxima.values.empty() && !is_adjusted;
  largest_ = at_hand ? BlockMaximaOfPacks(logits_, maxima, maxima_) : BlockMaxima(logits_, maxima_);
  if (!std::isfinite(largest_) && not_finite == NotFinite::kThrow) {
    throw Error(ErrorKind::kCorrupt,
                "the model's numbers at position " + std::to_string(context.size()) +
                    " are not finite (NaN or infinity), so there is no next token; its weights or "
                    "their format are likely damaged: get or convert the file again");
  }
  cut_ = {};
  if (!greedy() && std::isfinite(largest_)) Filter();
}

bool Sampler::Adjust(std::span<const Token> context) {
  const size_t window = options_.repeat_penalty == 1.0f
                            ? 0
                            : std::min(context.size(), static_cast<size_t>(options_.repeat_window));
  const bool counts = options_.presence_penalty != 0.0f || options_.frequency_penalty != 0.0f;
  const auto generated =
      context.subspan(counts ? std::min(history_, context.size()) : context.size());
  if (window == 0 && generated.empty() && options_.logit_bias.empty()) return false;
  std::copy(logits_.begin(), logits_.end(), adjusted_.begin());
  logits_ = adjusted_;
  for (const LogitBias& bias : options_.logit_bias) {
    if (bias.token >= 0 && bias.token < tokens_) {
      adjusted_[static_cast<size_t>(bias.token)] += bias.bias;
    }
  }
  PenaliseRepeats(context.last(window));
  PenaliseGenerated(generated);
  return true;
}

Sampler::Candidate* Sampler::CounterOf(Token token) {
  return token >= 0 && token < tokens_ ? &candidates_[static_cast<size_t>(token)] : nullptr;
}

// A token that occurs twice is penalised once.
void Sampler::PenaliseRepeats(std::span<const Token> window) {
  for (const Token token : window) {
    if (Candidate* counter = CounterOf(token)) counter->weight = 0.0f;
  }
  for (const Token token : window) {
    Candidate* counter = CounterOf(token);
    if (counter == nullptr || counter->weight > 0.0f) continue;
    counter->weight = 1.0f;
    float& logit = adjusted_[static_cast<size_t>(token)];
    logit = logit > 0.0f ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
  }
}

void Sampler::PenaliseGenerated(std::span<const Token> generated) {
  for (const Token token : generated) {
    if (Candidate* counter = CounterOf(token)) counter->weight = 0.0f;
  }
  for (const Token token : generated) {
    if (Candidate* counter = CounterOf(token)) counter->weight += 1.0f;
  }
  for (const Token token : generated) {
    Candidate* counter = CounterOf(token);
    if (counter == nullptr || counter->weight == 0.0f) continue;
    adjusted_[static_cast<size_t>(token)] -=
        options_.presence_penalty + options_.frequency_penalty * counter->weight;
    counter->weight = 0.0f;  // once for all times
  }
}

void Sampler::Filter() {
  if (options_.top_k > 0 && options_.top_k < tokens_) CutTopK();
  if (options_.top_p < 1.0f) CutTopP();
  if (options_.min_p > 0.0f) CutMinP();
}

std::span<Sampler::Candidate> Sampler::Gather(double least) {
  size_t count = 0;
  for (size_t block = 0; block < maxima_.size(); ++block) {
    if (!(maxima_[block] >= least)) continue;
    const Token begin = static_cast<Token>(block) * kLogitBlock;
    const Token end = std::min(begin + kLogitBlock, tokens_);
    for (Token id = begin; id < end; ++id) {
      const float logit = logits_[static_cast<size_t>(id)];
      if (logit >= least && cut_.Keeps(logit, id)) candidates_[count++] = {logit, 0.0f, id};
    }
  }
  return candidates_.first(count);
}

void Sampler::CutTopK() {
  const size_t k = static_cast<size_t>(options_.top_k);
  double least = -std::numeric_limits<double>::infinity();
  if (k <= maxima_.size()) {
    // k blocks reach the k-th largest block maximum, so at least k tokens do.
    std::copy(maxima_.begin(), maxima_.end(), maxima_scratch_.begin());
    const auto kth = maxima_scratch_.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(maxima_scratch_.begin(), kth, maxima_scratch_.end(), std::greater<float>());
    least = *kth;
  }
  const std::span<Candidate> found = Gather(least);
  if (found.size() < k) return;  // the others are NaN
  const auto kth = found.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(found.begin(), kth, found.end(), Before);
  cut_ = {kth->logit, kth->id};
}

void Sampler::CutTopP() {
  const auto weight = [&](float logit) {
    return static_cast<float>(std::exp((static_cast<double>(logit) - largest_) * scale_));
  };
  double whole = 0;
  double least = cut_.logit;
  if (std::isinf(cut_.logit)) {
    // All tokens below `least` together hold less than the mass that top-p gives away.
    whole = Exponentials(logits_, largest_, static_cast<float>(scale_), {});
    const double spare = (1.0 - options_.top_p) * whole / tokens_;
    least = std::min<double>(largest_, largest_ + (std::log(spare) - 1e-3) / scale_);
  }
  std::span<Candidate> found = Gather(least);
  double gathered = 0;
  for (Candidate& c : found) gathered += c.weight = weight(c.logit);
  // Halves the range that holds the last token of the nucleus until one is left.
  double wanted = options_.top_p * (whole > 0 ? whole : gathered);
  auto begin = found.begin();
  auto end = found.end();
  while (end - begin > 1) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, Before);
    double mass = 0;
    for (auto it = begin; it != middle; ++it) mass += it->weight;
    if (mass >= wanted) {
      end = middle;
    } else {
      wanted -= mass;
      begin = middle;
    }
  }
  cut_ = {begin->logit, begin->id};
}

void Sampler::CutMinP() {
  const double least = largest_ + std::log(static_cast<double>(options_.min_p)) / scale_;
  if (least > cut_.logit) cut_ = {least, std::numeric_limits<Token>::max()};
}

struct Sampler::Race {
  GumbelNoise noise;
  double best = -std::numeric_limits<double>::infinity();
  Token token = 0;
};

void Sampler::Run(int block, Race* race) const {
  const auto score = [&](float logit) { return (static_cast<double>(logit) - largest_) * scale_; };
  const float block_largest = maxima_[static_cast<size_t>(block)];
  if (!(block_largest >= cut_.logit)) return;
  if (score(block_largest) + GumbelNoise::kLargest < race->best) return;
  const double minimum = race->noise.BlockMinimum(block);
  const double bound = -std::log(minimum);
  if (score(block_largest) + bound < race->best) return;

  const Token winner = race->noise.BlockWinner(block);
  const Token end = std::min((block + 1) * kLogitBlock, tokens_);
  for (Token id = block * kLogitBlock; id < end; ++id) {
    const float logit = logits_[static_cast<size_t>(id)];
    const double own = score(logit);
    if (!(own + bound >= race->best) || !cut_.Keeps(logit, id)) continue;
    const double key = own + race->noise.Gumbel(id, winner, minimum);
    if (key > race->best || (key == race->best && id < race->token)) {
      race->best = key;
      race->token = id;
    }
  }
}

Token Sampler::Choose(uint64_t position) const {
  const Token first = FirstEqual(logits_, maxima_, largest_);
  if (greedy() || !std::isfinite(largest_)) return first;
  // Beginning where the largest logit is makes the bounds of all other blocks bite.
  Race race{GumbelNoise(options_.seed, position), -std::numeric_limits<double>::infinity(), first};
  const int home = first / kLogitBlock;
  Run(home, &race);
  for (int block = 0; block < static_cast<int>(maxima_.size()); ++block) {
    if (block != home) Run(block, &race);
  }
  return race.token;
}

void Sampler::Probabilities(std::span<float> out) const {
  QS_CHECK(!greedy() && out.size() == static_cast<size_t>(vocab_));
  const std::span<float> rest = out.subspan(logits_.size());
  std::fill(rest.begin(), rest.end(), 0.0f);
  out = out.first(logits_.size());
  if (!std::isfinite(largest_)) {
    std::fill(out.begin(), out.end(), 0.0f);
    out[static_cast<size_t>(FirstEqual(logits_, maxima_, largest_))] = 1.0f;
    return;
  }
  double sum = 0;
  if (std::isinf(cut_.logit)) {
    sum = Exponentials(logits_, largest_, static_cast<float>(scale_), out);
  } else {
    std::fill(out.begin(), out.end(), 0.0f);
    for (size_t block = 0; block < maxima_.size(); ++block) {
      if (!(maxima_[block] >= cut_.logit)) continue;
      const size_t end = std::min<size_t>((block + 1) * kLogitBlock, logits_.size());
      for (size_t i = block * kLogitBlock; i < end; ++i) {
        if (!cut_.Keeps(logits_[i], static_cast<Token>(i))) continue;
        out[i] =
            static_cast<float>(std::exp((static_cast<double>(logits_[i]) - largest_) * scale_));
        sum += out[i];
      }
    }
  }
  const float inverse = static_cast<float>(1.0 / sum);
  for (float& p : out) p *= inverse;
}

}  // namespace quantspec
