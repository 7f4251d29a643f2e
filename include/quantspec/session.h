// One sequence: its cache, and the decoding loop over it. Command line, server and bindings all
// stand on this page.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "quantspec/types.h"

namespace quantspec {

inline constexpr int kMaxGamma = 16;
inline constexpr int kGammaAuto = -1;

struct SessionOptions {
  int context = 0;  // tokens the cache can hold; 0 = the model's context
  CacheKind cache = CacheKind::kHierarchical;
  // Sealed tokens that a draft reads at most, rounded up to whole groups, of each KV head those
  // that weighed most to the target; auto: a quarter of them, at least 1,536. Speculative output is
  // plain output for every value.
  int draft_context = kDraftContextAuto;
};

struct SamplingOptions {
  float temperature = 0.0f;     // 0 = greedy
  int top_k = 0;                // 0 = off
  float top_p = 1.0f;           // 1 = off
  float min_p = 0.0f;           // 0 = off
  float repeat_penalty = 1.0f;  // 1 = off; over the last `repeat_window` tokens
  int repeat_window = 64;
  uint64_t seed = 0;
  VerifyRule verify = VerifyRule::kCoupled;
};

struct GenerateOptions {
  int max_tokens = 256;
  int gamma = kGammaAuto;  // kGammaAuto, 0 (plain decoding) to kMaxGamma
  bool ignore_end = false;
  SamplingOptions sampling;
};

// One change of gamma by the controller.
struct GammaChange {
  int round = 0;
  int gamma = 0;
  std::string reason;
};

struct GenerateStats {
  int prompt_tokens = 0;
  int generated_tokens = 0;
  double prefill_s = 0;
  double decode_s = 0;
  int gamma = 0;  // as asked for; kGammaAuto if the controller chose
  int64_t rounds = 0;
  int64_t drafted = 0;
  int64_t accepted = 0;
  std::array<int64_t, kMaxGamma> drafted_by_position{};
  std::array<int64_t, kMaxGamma> accepted_by_position{};
  double draft_s = 0;
  double verify_s = 0;
  double seal_s = 0;
  double other_s = 0;
  std::vector<GammaChange> gamma_changes;  // the last few hundred
};

struct GenerateResult {
  std::vector<Token> tokens;
  FinishReason finish = FinishReason::kStop;
  bool context_full = false;  // kLength because the cache has no room left
  GenerateStats stats;
};

// Called with every token as soon as it is final. Returning false ends generation (kInterrupted,
// or kStop if the caller saw a stop text; the caller knows which).
using OnToken = std::function<bool(Token token)>;
// Called during prefill with the tokens done so far; returning false stops it.
using OnPrefill = std::function<bool(int done, int total)>;

// Belongs to one thread at a time.
class Session {
 public:
  virtual ~Session() = default;

  virtual int context() const = 0;
  virtual int length() const = 0;  // tokens in the cache
  virtual MemoryBytes memory() const = 0;

  // Appends `prompt` to the sequence. The logits of its last token stay ready for Generate.
  // Throws Error{kUsage} for an empty or too long prompt or a token out of range; the session is
  // unchanged then. Returns false if `on_prefill` stopped it; the session is then empty again.
  virtual bool Prefill(std::span<const Token> prompt, const OnPrefill& on_prefill = {}) = 0;

  // Generates after the last prefilled or generated token. An end token is part of the result
  // unless it is dropped by the caller. Needs a non-empty sequence.
  virtual GenerateResult Generate(const GenerateOptions& options, const OnToken& on_token = {}) = 0;

  // The forward pass itself, for scoring and tools: appends `tokens` (1 to max_step_rows()) and
  // returns their logits [tokens, vocab], valid until the next call. Rewind ends the step: only
  // the first `length` tokens stay, and they may be sealed.
  virtual std::span<const float> Step(Reader reader, std::span<const Token> tokens) = 0;
  virtual void Rewind(int length) = 0;
  // The most tokens the next Step may append: to the seal boundary or the end of the context.
  virtual int step_room() const = 0;

  // Forgets the sequence.
  virtual void Clear() = 0;
  // Hash of every stored byte of the cache that belongs to the sequence, 16 hex digits.
  virtual std::string CacheDigest() const = 0;
  // Bytes that one token reads at the present length: weights and cache, by reader.
  virtual uint64_t BytesPerToken(Reader reader) const = 0;
};

}  // namespace quantspec
