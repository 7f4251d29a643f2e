// Plain values shared by the engine, sessions, the decoding loop and programs. No behaviour lives
// here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace quantspec {

using Token = int32_t;

// How weights are stored; see docs/formats/hq8.md and docs/architecture.md.
enum class WeightMode {
  kAuto,    // 4-bit sources imported as they are, everything finer in HQ8 (two planes)
  kNested,  // HQ8 everywhere: the target reads both planes, the draft the upper one
  kBf16,    // bf16 for the target and a separate 4-bit copy for the draft (the paper's setting)
  kFloat,   // float32, draft and target alike; for reference and debugging
};

enum class CacheKind {
  kHierarchical,  // HQ8 groups and a dense 16-bit tail
  kFull,          // one dense segment: 16-bit, or float32 when weights are float32
};

// What a session takes of the chunks of 256 tokens that other sequences of the engine left in the
// prompt store, and leaves there itself.
enum class PromptReuse {
  kPrompts,  // chunks that hold prompts alone: answers do not depend on what was stored
  // Chunks that hold or follow generated tokens, too, so that a conversation's next turn does not
  // read the last answer again. They are what was generated, which may differ in the last bits of
  // what reading the same tokens computes, and so may the answers behind it.
  kAll,
  kNone,
};

// Which view of model and cache a step reads.
enum class Reader {
  kTarget,  // everything, both planes: what the output is defined by
  kDraft,   // the upper planes of what matters: cheaper, agrees with the target most of the time
};

// What proposes the tokens of a round. Speculative output is plain output for every kind.
enum class DraftKind {
  kGroups,     // the model, over the sealed groups that weighed most to the target
  kUpper,      // the model, over all groups: the paper's draft [quantspec]
  kStreaming,  // the model, over the first 16 tokens and the newest ones [streamingllm]
  kSnapKv,     // the model, over what the end of the prompt attended to, and all since [snapkv]
  kPillar,     // the model, over what the last verified tokens attended to [sparsespec]
  kNgram,      // no model: the tokens that followed the last ones earlier [promptlookup]
};

// Whether a draft reads weights or cache in 4 bits or as the target does.
enum class DraftPart { kAuto, kInt4, kTarget };

// How SnapKV smooths what columns weigh: the mean of 5 neighbours or the largest of 7.
enum class SnapKvPool { kMean5, kMax7 };

// Values of DraftOptions::budget_tokens besides a number of tokens.
inline constexpr int kDraftBudgetAuto = -1;
inline constexpr int kDraftBudgetAll = 0x7fffffff;

struct DraftOptions {
  DraftKind kind = DraftKind::kGroups;
  // Sealed tokens that a draft reads at most (with CacheKind::kFull: tokens of the prompt). Auto: a
  // quarter, with kGroups at least 1,536, with kPillar a sixteenth; kUpper reads all. Whole groups
  // with kGroups and kStreaming.
  int budget_tokens = kDraftBudgetAuto;
  float budget_share = 0;                // instead: this share of them, above 0 to 1; 0 = not given
  DraftPart weights = DraftPart::kAuto;  // auto: 4 bits where the model has them
  DraftPart cache = DraftPart::kAuto;    // auto: 4 bits with kGroups and kUpper, else the target's
  // SnapKV's observation scores: times 1 / sqrt(head_dim), or as they are, as in MagicDec.
  bool snapkv_scaled = true;
  SnapKvPool snapkv_pool = SnapKvPool::kMean5;
};

// The most tokens drafted in a round, and the value of GenerateOptions::gamma that leaves their
// number to the controller.
inline constexpr int kMaxGamma = 16;
inline constexpr int kGammaAuto = -1;

inline constexpr int kMaxLogprobs = 20;
inline constexpr int kNoLogprobs = -1;

// How drafted tokens are verified when temperature > 0 (greedy decoding needs neither).
enum class VerifyRule {
  kCoupled,    // shared Gumbel noise: the output is that of plain sampling, token for token
  kRejection,  // accept with min(1, p/q), else draw from the residual [leviathan2023]
};

enum class FinishReason {
  kStop,         // an end-of-text token or a stop text
  kLength,       // max_tokens reached, or the context is full
  kInterrupted,  // the caller asked to stop
};

// Added to the logit of a token.
struct LogitBias {
  Token token = 0;
  float bias = 0;  // -100 to 100
};

struct SamplingOptions {
  float temperature = 0.0f;     // 0 = greedy
  int top_k = 0;                // 0 = off
  float top_p = 1.0f;           // 1 = off
  float min_p = 0.0f;           // 0 = off
  float repeat_penalty = 1.0f;  // 1 = off; over the last `repeat_window` tokens
  int repeat_window = 64;
  // Taken from the logits of tokens that were generated: once, and for each time. -2 to 2; 0 = off.
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  std::vector<LogitBias> logit_bias;
  uint64_t seed = 0;
  VerifyRule verify = VerifyRule::kCoupled;
};

// What the authors of a model advise; absent: nothing.
struct SamplingAdvice {
  std::optional<float> temperature;  // 0: greedy
  std::optional<int> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repeat_penalty;
  std::optional<int> repeat_window;

  // `options` with what is advised.
  SamplingOptions ApplyTo(SamplingOptions options) const {
    options.temperature = temperature.value_or(options.temperature);
    options.top_k = top_k.value_or(options.top_k);
    options.top_p = top_p.value_or(options.top_p);
    options.min_p = min_p.value_or(options.min_p);
    options.repeat_penalty = repeat_penalty.value_or(options.repeat_penalty);
    options.repeat_window = repeat_window.value_or(options.repeat_window);
    return options;
  }
};

struct GenerateOptions {
  int max_tokens = 256;
  int gamma = kGammaAuto;  // kGammaAuto, 0 (plain decoding) to kMaxGamma
  bool ignore_end = false;
  // Log-probabilities with every token: its own and those of this many likeliest ones, 0 to
  // kMaxLogprobs; kNoLogprobs: none. Of the model's distribution: without temperature, filters,
  // penalties and biases.
  int logprobs = kNoLogprobs;
  SamplingOptions sampling;
};

struct TokenLogprob {
  Token token = 0;
  float logprob = 0;
};

// One change of gamma by the controller.
struct GammaChange {
  int round = 0;
  int gamma = 0;
  std::string reason;
};

struct GenerateStats {
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt, found in the prompt store
  int generated_tokens = 0;
  double queue_s = 0;  // before a scheduler began with it
  double prefill_s = 0;
  double decode_s = 0;
  int gamma = 0;  // as asked for; kGammaAuto if the controller chose
  int64_t rounds = 0;
  int64_t drafted = 0;
  int64_t accepted = 0;
  int64_t looked_up = 0;  // of the drafted tokens, those that no model made
  std::array<int64_t, kMaxGamma> drafted_by_position{};
  // Drafted tokens that the target judged: all before them in their round were accepted.
  std::array<int64_t, kMaxGamma> reached_by_position{};
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

struct MemoryBytes {
  uint64_t weights = 0;
  uint64_t pool = 0;  // sealed groups of the cache, once an engine
  uint64_t tail = 0;  // of all sequences: dense keys and values, and what else each needs
  // Layers with an attention window: rows of all sequences, and what the prompt store keeps.
  uint64_t windows = 0;
  uint64_t scratch = 0;  // activations and kernel scratch, once an engine
  uint64_t cache() const { return pool + tail + windows; }
  uint64_t total() const { return weights + cache() + scratch; }
};

// The prompt store: chunks of 256 tokens that were read before. On disk only where a folder was
// given for it.
struct PromptStoreCounters {
  int64_t chunks = 0;  // in memory
  int64_t files = 0;   // on disk, other models' and processes' included as far as known
  uint64_t bytes = 0;  // of them
  int64_t hits = 0;    // chunks that were read from disk
  int64_t misses = 0;  // looked for there in vain
  int64_t written = 0;
  int64_t postponed = 0;  // not written when they were made, as too many waited
  int64_t evicted = 0;    // files removed for want of room
  int64_t damaged = 0;    // files that were not what was written
  std::string warning;    // why the store on disk stopped; empty: it has not
};

struct ModelInfo {
  std::string name;
  std::string architecture;
  int layers = 0;
  int hidden = 0;
  int ffn = 0;
  int q_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int vocab = 0;
  int context = 0;  // the most tokens the model was made for
};

struct TensorInfo {
  std::string name;
  std::string source_type;     // as in the file, e.g. "Q4_1"
  std::string stored_type;     // as the engine keeps it, e.g. "hq4 g32", "hq8 g64", "bf16"
  std::vector<int64_t> shape;  // slowest first
  uint64_t source_bytes = 0;
  uint64_t stored_bytes = 0;
};

}  // namespace quantspec
