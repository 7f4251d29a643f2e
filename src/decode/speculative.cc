#include "decode/speculative.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/check.h"
#include "quantspec/error.h"

namespace quantspec {

double SteadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void CheckGenerate(const GenerateOptions& options) {
  if (options.max_tokens < 0) {
    throw Error(ErrorKind::kUsage,
                "max tokens is " + std::to_string(options.max_tokens) + ", expected 0 or more");
  }
  if (options.gamma != kGammaAuto && (options.gamma < 0 || options.gamma > kMaxGamma)) {
    throw Error(ErrorKind::kUsage, "gamma is " + std::to_string(options.gamma) +
                                       ", expected auto or 0 to " + std::to_string(kMaxGamma));
  }
  CheckSampling(options.sampling);
}

struct Decoder::Call {
  SequenceModel& model;
  const GenerateOptions& options;
  const IsEnd& is_end;
  const OnToken& on_token;
  int history = 0;    // tokens in the cache at the beginning
  int generated = 0;  // tokens emitted since
  bool finished = false;
  FinishReason finish = FinishReason::kLength;
  bool context_full = false;
  GenerateStats stats{};

  int length() const { return history + generated; }
};

Decoder::Decoder(int vocab, int context, Clock clock)
    : vocab_(vocab),
      context_(context),
      clock_(std::move(clock)),
      sampler_(vocab),
      tokens_((static_cast<size_t>(context) + 1) * sizeof(Token)),
      probabilities_(static_cast<size_t>(vocab) * (kMaxGamma + 1) * sizeof(float)) {
  QS_CHECK(vocab > 0 && context > 0);
}

uint64_t Decoder::Bytes(int vocab, int context) {
  return Sampler::Bytes(vocab) + (static_cast<uint64_t>(context) + 1) * sizeof(Token) +
         static_cast<uint64_t>(vocab) * (kMaxGamma + 1) * sizeof(float);
}

std::span<float> Decoder::Probabilities(int row) const {
  const size_t columns = static_cast<size_t>(vocab_);
  return {probabilities_.As<float>() + static_cast<size_t>(row) * columns, columns};
}

std::span<const Token> Decoder::Tokens(int begin, int end) const {
  return {tokens_.As<Token>() + begin, static_cast<size_t>(end - begin)};
}

GenerateResult Decoder::Run(SequenceModel& model, std::span<const float> first_logits,
                            std::span<const Token> history, const GenerateOptions& options,
                            const IsEnd& is_end, const OnToken& on_token, const CostPrior& prior) {
  CheckGenerate(options);
  QS_CHECK(model.vocab() == vocab_ && first_logits.size() == static_cast<size_t>(vocab_));
  QS_CHECK(!history.empty() && history.size() <= static_cast<size_t>(context_));
  QS_CHECK(model.Length() == static_cast<int>(history.size()));
  sampling_ = options.sampling;
  sampler_.Configure(sampling_);
  controller_.Start(prior);
  std::copy(history.begin(), history.end(), tokens_.As<Token>());

  Call call{model, options, is_end, on_token};
  call.history = static_cast<int>(history.size());
  call.stats.gamma = options.gamma;
  const double begin = clock_();
  if (options.max_tokens > 0) {
    Emit(&call, Choose(ConstRows(first_logits.data(), 1, vocab_), 0, call.length()));
    Decode(&call);
  }

  GenerateStats& stats = call.stats;
  stats.decode_s = clock_() - begin;
  stats.other_s = std::max(0.0, stats.decode_s - stats.draft_s - stats.verify_s - stats.seal_s);
  stats.generated_tokens = call.generated;
  if (options.gamma == kGammaAuto) stats.gamma_changes = controller_.Changes();
  const std::span<const Token> output = Tokens(call.history, call.length());
  return {{output.begin(), output.end()}, call.finish, call.context_full, std::move(stats)};
}

// Algorithm 1, lines 4 to 26. Its n is `gamma` here, its v is what AcceptTokens emits.
void Decoder::Decode(Call* call) {
  SequenceModel& model = call->model;
  while (!call->finished) {
    if (model.Room() == 0) {
      call->context_full = true;
      return;
    }
    const int gamma = RoundGamma(*call);
    const double start = clock_();
    DraftTokens(call, gamma);
    const double drafted = clock_();
    const LogitRows target = VerifyTokens(call, gamma);
    const double verified = clock_();
    const int64_t accepted_before = call->stats.accepted;
    try {
      AcceptTokens(call, gamma, target);
    } catch (...) {
      model.Rewind(call->length() - 1);
      throw;
    }
    const double chosen = clock_();
    // Rows of rejected tokens are forgotten; a full C_F2 makes the model seal C_F1.
    model.Rewind(call->length() - 1);
    const double sealed = clock_();

    ++call->stats.rounds;
    if (gamma > 0) call->stats.draft_s += drafted - start;
    call->stats.verify_s += verified - drafted;
    call->stats.seal_s += sealed - chosen;
    if (call->options.gamma == kGammaAuto) {
      controller_.Observe(std::span(draft_steps_s_).first(static_cast<size_t>(gamma)),
                          verified - drafted,
                          static_cast<int>(call->stats.accepted - accepted_before));
    }
  }
}

// A round appends gamma + 1 rows and emits at most as many tokens.
int Decoder::RoundGamma(const Call& call) {
  const int wanted = call.options.gamma == kGammaAuto ? controller_.Next() : call.options.gamma;
  return std::min({wanted, call.model.Room() - 1, call.options.max_tokens - call.generated - 1});
}

// g_1 .. g_gamma, each from the draft's logits of the token before it. g_gamma itself is not fed.
void Decoder::DraftTokens(Call* call, int gamma) {
  if (gamma == 0) return;
  const bool rejection = sampling_.verify == VerifyRule::kRejection && !sampler_.greedy();
  const int start = call->model.Length();
  double before = clock_();
  for (int i = 0; i < gamma; ++i) {
    const int length = call->length() + i;
    const LogitRows q = call->model.Step(Reader::kDraft, Tokens(length - 1, length));
    tokens_.As<Token>()[length] = Choose(q, 0, length);
    if (rejection) sampler_.Probabilities(Probabilities(i));
    const double now = clock_();
    draft_steps_s_[static_cast<size_t>(i)] = now - std::exchange(before, now);
    ++call->stats.drafted_by_position[static_cast<size_t>(i)];
  }
  call->stats.drafted += gamma;
  call->model.Drop(start);
}

// p_1 .. p_(gamma + 1): target logits after the last token and after each draft token.
LogitRows Decoder::VerifyTokens(Call* call, int gamma) {
  const int length = call->length();
  const LogitRows p = call->model.Step(Reader::kTarget, Tokens(length - 1, length + gamma));
  QS_CHECK(p.rows == gamma + 1 && p.columns == vocab_);
  return p;
}

// Emits draft tokens while they are accepted, then the target's own token: the correction of the
// first one rejected, or one more if all were accepted.
void Decoder::AcceptTokens(Call* call, int gamma, const LogitRows& target) {
  for (int i = 0; i <= gamma && !call->finished; ++i) {
    const Verdict verdict = Judge(target, i, gamma, call->length());
    if (verdict.accepted) {
      ++call->stats.accepted;
      ++call->stats.accepted_by_position[static_cast<size_t>(i)];
    }
    Emit(call, verdict.token);
    if (!verdict.accepted) break;
  }
}

void Decoder::Read(const LogitRows& logits, int64_t row, int length) {
  QS_CHECK(logits.columns == vocab_);
  std::span<const float> maxima;
  if (logits.maxima.rows > 0) {
    maxima = {logits.maxima.Row(row), static_cast<size_t>(logits.maxima.columns)};
  }
  sampler_.Read({logits.Row(row), static_cast<size_t>(vocab_)}, Tokens(0, length), maxima);
}

Token Decoder::Choose(const LogitRows& logits, int64_t row, int length) {
  Read(logits, row, length);
  return sampler_.Choose(static_cast<uint64_t>(length));
}

// VERIFY and CORRECT for the token at position `length`, drafted if row < gamma. The tokens before
// it are final, so draft and target saw the same ones.
Verdict Decoder::Judge(const LogitRows& target, int row, int gamma, int length) {
  const bool drafted = row < gamma;
  const Token draft = tokens_.As<Token>()[drafted ? length : 0];
  if (drafted && sampling_.verify == VerifyRule::kRejection && !sampler_.greedy()) {
    Read(target, row, length);
    sampler_.Probabilities(Probabilities(kMaxGamma));
    return AcceptOrResample(draft, Probabilities(kMaxGamma), Probabilities(row), sampling_.seed,
                            static_cast<uint64_t>(length));
  }
  const Token token = Choose(target, row, length);
  return {token, drafted && token == draft};
}

void Decoder::Emit(Call* call, Token token) {
  tokens_.As<Token>()[call->length()] = token;
  ++call->generated;
  const bool wanted = !call->on_token || call->on_token(token);
  if (!call->options.ignore_end && call->is_end && call->is_end(token)) {
    call->finished = true;
    call->finish = FinishReason::kStop;
  } else if (!wanted) {
    call->finished = true;
    call->finish = FinishReason::kInterrupted;
  } else if (call->generated == call->options.max_tokens) {
    call->finished = true;
    call->finish = FinishReason::kLength;
  }
}

}  // namespace quantspec
