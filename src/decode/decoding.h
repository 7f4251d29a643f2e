// One generation as rounds that are driven from outside: Next says which rows it wants computed,
// Accept takes their logits. Self-speculative decoding as in Algorithm 1 of the paper; plain
// decoding is the same with gamma 0. A session drives one such object, a scheduler many.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/logit_rows.h"
#include "decode/draft_source.h"
#include "decode/gamma_controller.h"
#include "decode/ngram_source.h"
#include "decode/sampler.h"
#include "decode/verify_rule.h"
#include "quantspec/types.h"

namespace quantspec {

// True for tokens that end generation.
using IsEnd = std::function<bool(Token token)>;

// Throws Error{kUsage} naming the first option out of its range.
void CheckGenerate(const GenerateOptions& options);

// Rows that a round wants computed: `tokens` at positions `position`, `position` + 1, ... Truncate
// the cache to `position` before computing them.
struct WantedRows {
  Reader reader = Reader::kTarget;
  int position = 0;
  std::span<const Token> tokens;
};

// Tokens at the end of a text that must stand earlier, too, for gamma auto to look up what
// followed: so many rarely do unless the text is copied.
inline constexpr int kLookupTokens = 6;

// What rounds of several sequences know better than one of them: how many tokens it should draft,
// and what a row more costs all of them, in tokens.
struct RoundGuide {
  int gamma = 0;
  int most_lookup = 0;  // tokens that are looked up at most
  double row_price = 0;
};

// Use: Start and AcceptFirst, then until finished(): hand out NewTokens and Keep them, EndRound,
// Next and Accept until a target's rows were accepted.
class Decoding {
 public:
  // The first `tokens` of the `vocab` logits of a row belong to tokens.
  Decoding(int vocab, int tokens);
  // Memory taken at construction. Start takes kMaxGamma + 1 rows of probabilities more when it
  // first meets the rule kRejection; nothing else allocates.
  static uint64_t Bytes(int tokens);

  // Generates after `tokens`, all final and in the model's cache; generated ones are appended, with
  // the drafts of an open round behind them. Reserve kMaxGamma + 1 beyond the context, and nothing
  // allocates. `source` proposes the tokens of each round; null: the draft steps of the model do.
  // Throws Error{kUsage} for options out of range, before anything is changed.
  void Start(std::vector<Token>* tokens, const GenerateOptions& options, IsEnd is_end,
             const CostPrior& prior, DraftSource* source = nullptr);
  // The target's logits [vocab] of the last token.
  void AcceptFirst(std::span<const float> logits);

  // True once no round is to come; new tokens may still have to be handed out.
  bool finished() const { return finished_; }
  // The rows wanted now; none, and finished, if the model has no room for another round. `room` is
  // the model's when a round begins.
  std::optional<WantedRows> Next(int room);
  bool is_open() const { return is_open_; }
  // True if gamma is chosen round by round.
  bool is_auto() const { return options_.gamma == kGammaAuto; }
  // Before the next round begins, of one that is_auto(): it follows `guide` instead of its own
  // controller. Output is unaffected, but for kRejection.
  void Guide(const RoundGuide& guide) { guide_ = guide; }
  // Drafts that a round begun now has room for; 0 if the model is none's, but a source's.
  int MostGuided(int room) const { return source_ != nullptr ? 0 : std::max(0, MostDrafts(room)); }
  GammaController& controller() { return controller_; }
  const GenerateStats& stats() const { return stats_; }
  // Draft tokens of the last round, and of those the accepted ones.
  int round_drafted() const { return drafted_; }
  int round_accepted() const { return accepted_; }
  bool round_is_lookup() const { return is_lookup_ || source_ != nullptr; }
  // Draft tokens of the open round.
  int round_gamma() const { return gamma_; }
  // `seconds`: what computing the rows took.
  void Accept(const LogitRows& logits, double seconds);
  // Adds time, of sampling, to the draft step that was accepted last.
  void AddDraftSeconds(double seconds);

  // The final tokens of the round that was accepted last, at least one.
  std::span<const Token> NewTokens() const;
  // With GenerateOptions::logprobs: of the new token at `index`, its own first, then the likeliest.
  std::span<const TokenLogprob> NewLogprobs(int index) const;
  // Only the first `count` (1 or more) of the new tokens are kept, and generation ends after them:
  // kInterrupted, unless the last of them ended it anyway.
  void CutNewTokens(int count);
  // Ends the round. Its tokens but the last one are to be committed.
  void EndRound(double commit_s);
  // Generation ends here, as in a full context; no round is open.
  void EndForRoom() { context_full_ = finished_ = true; }
  // Drops an open round, whose rows are to be dropped, too.
  void Abort();

  // What was generated so far. Times: draft_s is the draft steps with their sampling, verify_s the
  // target steps; decode_s, other_s, prompt_tokens and prefill_s are left to the caller.
  //
  // Counts: generated = 1 (from the first logits) + rounds + accepted, one less if the last round
  // ended on an accepted draft token. `accepted` counts kept draft tokens, `drafted` all that were
  // proposed.
  GenerateResult Result() const;

 private:
  int final_length() const { return history_ + generated_; }
  bool UsesRejection() const;
  int RoundGamma(int room);
  // What limits the drafts of a round besides gamma.
  int MostDrafts(int room) const;
  // Writes what the source proposes behind the final tokens, at most `most`; returns how many.
  int Propose(DraftSource& source, int most);
  // Makes the first `count` of them the drafts of the round.
  void TakeProposed(int count);
  // Takes looked up tokens in the place of drafts if that is expected to be faster.
  bool LookUp(int room);
  void AcceptDraft(const LogitRows& logits, double seconds);
  void AcceptTarget(const LogitRows& logits, double seconds);
  // Reads row `row` as the logits of the token at position `length`.
  void Read(const LogitRows& logits, int64_t row, int length,
            NotFinite not_finite = NotFinite::kThrow);
  Verdict Judge(const LogitRows& logits, int row, int length);
  void KeepLogprobs(const LogitRows& logits, int row, Token chosen);
  // Makes `token` the next final one.
  void Append(Token token);
  std::span<float> Probabilities(int row) const;

  int vocab_, token_count_;
  Sampler sampler_;
  GammaController controller_;
  Buffer probabilities_;  // rejection: q of each draft token, then p: [kMaxGamma + 1, vocab]

  std::vector<Token>* tokens_ = nullptr;
  GenerateOptions options_;
  IsEnd is_end_;
  DraftSource* source_ = nullptr;
  std::optional<RoundGuide> guide_;    // of the round that is open or comes next
  NgramSource lookup_{kLookupTokens};  // what gamma auto may take in the place of draft steps
  int history_ = 0;                    // tokens at the beginning
  int generated_ = 0;                  // final tokens since
  bool finished_ = true;
  FinishReason finish_ = FinishReason::kLength;
  bool context_full_ = false;
  GenerateStats stats_;

  // The open round, and after it what it left.
  bool is_open_ = false;
  bool is_lookup_ = false;  // its drafts were looked up
  int gamma_ = 0;
  int drafted_ = 0;
  int accepted_ = 0;
  int reached_ = 0;  // drafts that were judged
  int new_tokens_ = 0;
  std::vector<TokenLogprob> logprobs_;                // of the new tokens
  std::array<size_t, kMaxGamma + 1> logprob_ends_{};  // where those of each end
  double verify_s_ = 0;
  std::array<double, kMaxGamma> draft_steps_s_{};
};

}  // namespace quantspec
