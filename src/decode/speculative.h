// The decoding loop: self-speculative decoding as in Algorithm 1 of the paper, for any
// SequenceModel. Plain decoding is the same loop with gamma 0.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/view.h"
#include "decode/gamma_controller.h"
#include "decode/sampler.h"
#include "decode/sequence_model.h"
#include "decode/verify_rule.h"
#include "quantspec/session.h"
#include "quantspec/types.h"

namespace quantspec {

// True for tokens that end generation.
using IsEnd = std::function<bool(Token token)>;
// Seconds from any fixed moment.
using Clock = std::function<double()>;
double SteadySeconds();

// Throws Error{kUsage} naming the first option out of its range.
void CheckGenerate(const GenerateOptions& options);

// Owns the buffers of a session's decoding. Belongs to one thread at a time.
class Decoder {
 public:
  // `context`: the most tokens that the model can hold.
  Decoder(int vocab, int context, Clock clock = SteadySeconds);
  // Memory that a Decoder takes, all of it at construction. Run allocates before its loop and
  // after it, never inside.
  static uint64_t Bytes(int vocab, int context);

  // Generates after `history`, the tokens in the model's cache, from `first_logits`, the target
  // logits [vocab] of the last one (they may be the model's own: they are read before any step).
  //
  // On return model.Length() == history.size() + generated - 1 (history.size() if none was
  // generated): the last token is not yet in the cache, whatever ended generation and whatever
  // gamma was, so that the cache equals that of plain decoding. The same holds if `on_token`
  // throws.
  //
  // Counts: generated = 1 (from first_logits) + rounds + accepted, one less if the last round
  // ended on an accepted draft token. `accepted` counts emitted draft tokens, `drafted` all that
  // were proposed. Times: draft_s is the draft steps with their sampling, verify_s the target
  // steps (plain ones too), seal_s Rewind, other_s the rest of decode_s (choosing, callbacks).
  // prompt_tokens and prefill_s are left to the caller.
  //
  // An end token is emitted, and finishes with kStop even if `on_token` returns false for it.
  // Throws Error{kUsage} for options out of range, before anything is done.
  GenerateResult Run(SequenceModel& model, std::span<const float> first_logits,
                     std::span<const Token> history, const GenerateOptions& options,
                     const IsEnd& is_end, const OnToken& on_token = {},
                     const CostPrior& prior = {});

 private:
  struct Call;  // one Run: what it was asked and how far it is

  int RoundGamma(const Call& call);
  void DraftTokens(Call* call, int gamma);
  LogitRows VerifyTokens(Call* call, int gamma);
  void AcceptTokens(Call* call, int gamma, const LogitRows& target);
  void Decode(Call* call);

  // Has the sampler read a row.
  void Read(const LogitRows& logits, int64_t row, int length);
  Token Choose(const LogitRows& logits, int64_t row, int length);
  Verdict Judge(const LogitRows& target, int row, int gamma, int length);
  void Emit(Call* call, Token token);
  std::span<float> Probabilities(int row) const;
  std::span<const Token> Tokens(int begin, int end) const;

  int vocab_;
  int context_;
  Clock clock_;
  Sampler sampler_;
  GammaController controller_;
  Buffer tokens_;         // history, output, then the round's draft tokens: [context + 1]
  Buffer probabilities_;  // rejection rule: q of each draft token, then p: [kMaxGamma + 1, vocab]
  SamplingOptions sampling_;
  std::array<double, kMaxGamma> draft_steps_s_{};
};

}  // namespace quantspec
