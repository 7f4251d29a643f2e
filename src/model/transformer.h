// The forward pass, written once: rows of any number of sequences through every layer. A prompt is
// rows of one chunk, which may stop between layers.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/logit_rows.h"
#include "cache/draft_policy.h"
#include "cache/kv_cache.h"
#include "formats/model_config.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "quantspec/types.h"

namespace quantspec {

// Rows of one step that belong to one sequence: `tokens` follow what `cache` holds.
struct StepRows {
  KvCache* cache = nullptr;
  DraftPolicy* policy = nullptr;
  std::span<const Token> tokens;
  // What a draft's step reads of the weights; the same for all sequences of a step.
  Reader draft_weights = Reader::kDraft;
};

struct TransformerLimits {
  int context = 0;       // longest sequence
  int positions = 0;     // tokens of all sequences of a step together
  int sequences = 0;     // most of a step
  int step_rows = 0;     // most rows of a step, over all sequences
  int rope_context = 0;  // longest sequence as ModelConfig::ReadsLongRope means it
};

// Rows of a prompt on their way through the layers, at most a chunk; one sequence's.
class PromptRows {
 public:
  static uint64_t Bytes(int hidden);
  // Throws Error{kMemory}.
  PromptRows(int hidden, const Backend& backend);

  bool active() const { return count_ > 0; }
  // Rows that are still to pass the present layer.
  int Left() const { return count_ - row_; }
  // Share of the work done, 0 to 1.
  double Done(int layers) const;

 private:
  friend class Transformer;
  quantspec::Rows Rows(int first, int count) const;

  DeviceMemory memory_;  // [kChunkTokens, hidden]
  int hidden_;
  KvCache* cache_ = nullptr;
  DraftPolicy* policy_ = nullptr;
  int first_position_ = 0;
  int count_ = 0;
  int layer_ = 0;  // rows [0, row_) have passed it, the others only the layers before it
  int row_ = 0;
};

// Owns the activations; weights are shared. One caller at a time.
class Transformer {
 public:
  static uint64_t ScratchBytes(const ModelConfig& config, const Backend& backend,
                               TransformerLimits limits);
  // Reserve of `backend` is called here. Throws Error{kMemory}.
  Transformer(const Model& model, std::unique_ptr<Backend> backend, TransformerLimits limits);

  // Appends every sequence's tokens to its cache as rows of kDecode and returns the logits
  // [all rows, vocab] in the order given, on the host, valid until the next call. At most
  // limits.step_rows rows in all, kStepRows a sequence, each within its cache's Room(). Allocates
  // nothing. Throws as Model::Embed does, before anything is changed; and Error{kCorrupt} where the
  // target's numbers are not finite, with the rows still in the caches.
  LogitRows Step(Reader reader, std::span<const StepRows> sequences);

  // Appends the first rows of a chunk or all of it: 1 to the cache's PromptRoom() tokens.
  // `is_last`: they end the prompt. `prompt` is not active. Throws as Model::Embed does, before
  // anything is changed.
  void StartPrompt(const StepRows& rows, bool is_last, PromptRows& prompt);
  // Takes the next rows, at most `most`, through the layer where `prompt` is. True when all rows
  // are through all layers; the caller commits them.
  bool AdvancePrompt(int most, PromptRows& prompt);
  // Ends `prompt`; its rows are dropped from the cache unless they were committed.
  void EndPrompt(PromptRows& prompt);
  // Logits of the last row of a prompt that is through all layers, as Step returns them. Throws
  // Error{kCorrupt} if the row's numbers are not finite.
  LogitRows PromptLogits(const PromptRows& prompt);

  Backend& backend() const { return *backend_; }
  const Model& model() const { return model_; }
  const TransformerLimits& limits() const { return limits_; }

 private:
  // Rows [first_row, first_row + rows) of a pass: one sequence's, at consecutive positions.
  struct Slice {
    KvCache* cache;
    DraftPolicy* policy;
    int first_row;
    int rows;
    int first_position;
  };
  // What the rows of a pass read, and how they are computed.
  struct Pass {
    Reader reader;   // of the cache
    Reader weights;  // of the weights
    RowKind kind;
  };
  // Tells a slice's policy what is to come.
  void BeginStep(const Slice& slice, Reader reader, StepPart part);
  // The two halves of a layer, over x [rows, hidden] in place.
  void Attention(int index, const Pass& pass, Rows x, std::span<const Slice> slices);
  void FeedForward(int index, const Pass& pass, Rows x);
  // What a half of a layer reads: x, normalised in normed_ if there is a `norm`.
  ConstRows Normed(ConstRows x, const float* norm, float epsilon);
  // Ends a half: adds what `linear` makes of `in` to x. May overwrite what Normed returned.
  void AddToResidual(const LayerClass& shape, const Linear& linear, const float* post_norm,
                     const Pass& pass, ConstRows in, Rows x);
  void GrowQueries(const QueryGrowth& growth, int64_t first_position, Rows q);
  // Rotates a slice's queries and keys, stores its keys and values, says what it attends over.
  AttendRows StoreRows(int index, Reader reader, const Slice& slice, Rows q, Rows k, ConstRows v);
  LogitRows Logits(const Pass& pass, Rows x);
  // Throws Error{kCorrupt} if the last layer left a number that is not finite, or whose square is
  // not.
  void CheckFinite(ConstRows x);
  // Embeds tokens as rows of host_embedded_ from `row` on, scaled.
  Rows EmbedOnHost(std::span<const Token> tokens, int row);
  // Rows without gaps.
  void Upload(ConstRows host, Rows device) const;
  Activations ActivationsOf(RowKind kind) const;
  AttendMath MathOf(RowKind kind) const;

  const Model& model_;
  std::unique_ptr<Backend> backend_;
  TransformerLimits limits_;
  DeviceMemory memory_;
  Rows hidden_;  // [step_rows, hidden]
  Rows
      normed_;  // [pass rows, hidden]; also what a half of a layer adds, if it is not added at once
  Rows q_, k_, v_, attended_, gate_, up_;
  Rows logits_;                            // [step_rows, vocab]
  Rows maxima_;                            // LogitRows::maxima
  std::vector<const float*> rope_tables_;  // of each layer class
  Buffer host_;         // embedded rows, and logits where device memory is not the host's
  Rows host_embedded_;  // [pass rows, hidden]
  Rows host_logits_;    // as logits_
  Rows host_maxima_;    // as maxima_
  bool is_float_;       // weights are float: nothing is rounded that need not be
  // A draft policy counts the layers without a window: which ones they are, and each one's number.
  std::vector<int> full_layers_, policy_layers_;
  std::vector<Slice> slices_;
  std::vector<AttendRows> attend_rows_;
};

}  // namespace quantspec
