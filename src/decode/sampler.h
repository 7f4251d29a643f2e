// From a row of logits to a token: penalty, temperature, filters, choice. The same object serves
// draft and target, so both distributions are shaped alike.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "base/buffer.h"
#include "base/logit_rows.h"
#include "quantspec/types.h"

namespace quantspec {

// Throws Error{kUsage} naming the first option out of its range.
void CheckSampling(const SamplingOptions& options);

// What Sampler::Read does with logits whose largest is not a finite number. A draft may be
// nonsense, since its target judges it; a target that is has no answer.
enum class NotFinite { kThrow, kAllow };

// The order is: logit bias, repeat penalty, presence and frequency penalty, temperature, top-k,
// top-p (of what top-k left), min-p. Every filter keeps the most probable token. NaN logits are
// never chosen. Rows may be wider than the vocabulary has tokens (embeddings are padded): ids
// without a token are never chosen either, they count as -infinity.
class Sampler {
 public:
  // Takes all memory; no later call allocates. `vocab`: logits of a row; `tokens`, 1 to vocab: the
  // ids 0 to tokens - 1 have a token.
  Sampler(int vocab, int tokens);
  static uint64_t Bytes(int tokens);

  // `history`: tokens at the beginning of each context that were not generated.
  void Configure(const SamplingOptions& options, size_t history = 0);
  bool greedy() const { return options_.temperature <= 0.0f; }

  // Shapes the distribution that `logits` [vocab] and the tokens before it give. `logits` must
  // stay valid until the next Read. `maxima`, if there are any, spare a look at all logits.
  // Throws Error{kCorrupt}, naming the position (context.size()), if the largest logit is not
  // finite and that is not allowed. Where it is, the choice is the first of the largest (token 0 if
  // all are NaN).
  void Read(std::span<const float> logits, std::span<const Token> context,
            const PackMaxima& maxima = {}, NotFinite not_finite = NotFinite::kThrow);

  // Greedy: the most probable token, the lowest id among equals. Otherwise argmax(log p + Gumbel
  // noise) for the filtered p, which is a draw from p; the noise depends on the seed, `position`
  // and the token only, so two rows at one position share it.
  Token Choose(uint64_t position) const;

  // The filtered distribution itself, [vocab]. Zero for what a filter removed and for ids without
  // a token. Not for greedy.
  void Probabilities(std::span<float> out) const;

 private:
  struct Candidate {
    float logit;
    float weight;
    Token id;
  };
  // The filters all keep a head of the order (logit descending, id ascending); this is its end.
  struct Cut {
    double logit = -std::numeric_limits<double>::infinity();
    Token id = std::numeric_limits<Token>::max();

    bool Keeps(float value, Token token) const {
      return value > logit || (value == logit && token <= id);
    }
  };
  struct Race;

  static bool Before(const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  }
  // False if options and context change no logit.
  bool Adjust(std::span<const Token> context);
  void PenaliseRepeats(std::span<const Token> window);
  void PenaliseGenerated(std::span<const Token> generated);
  // The candidate of `token`, as a place to count in; null for an id without a token.
  Candidate* CounterOf(Token token);
  void Filter();
  void CutTopK();
  void CutTopP();
  void CutMinP();
  // The candidates of the present cut with logits >= `least`.
  std::span<Candidate> Gather(double least);
  void Run(int block, Race* race) const;

  int vocab_;
  int tokens_;
  SamplingOptions options_;
  size_t history_ = 0;
  Buffer memory_;
  std::span<float> maxima_;  // of blocks
  std::span<float> maxima_scratch_;
  std::span<float> adjusted_;        // [tokens]
  std::span<Candidate> candidates_;  // [tokens]

  std::span<const float> logits_;  // [tokens]
  float largest_ = 0.0f;
  double scale_ = 1.0;  // 1 / temperature
  Cut cut_;
};

}  // namespace quantspec
