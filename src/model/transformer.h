// The forward pass, written once: decoding steps of any reader over rows of any number of
// sequences, and prefill layer by layer.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/logit_rows.h"
#include "cache/kv_cache.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "quantspec/types.h"

namespace quantspec {

// Rows of one step that belong to one sequence: `tokens` follow what `cache` holds.
struct StepRows {
  KvCache* cache = nullptr;
  std::span<const Token> tokens;
};

struct TransformerLimits {
  int context = 0;    // longest sequence, and longest prompt
  int step_rows = 0;  // most rows of one Step, over all sequences
};

// Owns the activations; weights are shared. One caller at a time.
class Transformer {
 public:
  static constexpr int kPromptChunk = 256;  // rows of one pass through a layer during prefill

  static uint64_t ScratchBytes(const Model& model, const Backend& backend,
                               TransformerLimits limits);
  static uint64_t ScratchBytes(const ModelConfig& config, const Backend& backend,
                               TransformerLimits limits);
  // `backend` must be of the kind that packed the model's weights; Reserve is called here.
  Transformer(const Model& model, std::unique_ptr<Backend> backend, TransformerLimits limits);

  // Appends every sequence's tokens to its cache and returns the logits [all rows, vocab] in the
  // order given, valid until the next call. At most step_rows rows in all, each sequence within its
  // cache's Room(). Allocates nothing.
  LogitRows Step(Reader reader, std::span<const StepRows> sequences);

  // Fills an empty cache, layer by layer over the whole prompt, attending in full precision.
  // Returns the logits of the last token [1, vocab]; an empty view, with the cache cleared, if
  // `progress(share)` returned false. [quantspec 4.3.2]
  ConstRows Prefill(KvCache& cache, std::span<const Token> prompt,
                    const std::function<bool(double)>& progress);

  Backend& backend() { return *backend_; }
  const Model& model() const { return model_; }

 private:
  // Rows [first_row, first_row + rows) of a pass: one sequence's, at consecutive positions.
  struct Slice {
    KvCache* cache;
    int first_row;
    int rows;
    int first_position;
    const DenseSegment* prompt;  // prefill: attend over this instead of the cache
  };
  // Runs x [rows, hidden] through one layer in place.
  void Layer(int index, Reader reader, Rows x, std::span<const Slice> slices);
  void Attention(int index, Reader reader, Inputs inputs, Rows x, std::span<const Slice> slices);
  void FeedForward(int index, Reader reader, Inputs inputs, Rows x);
  LogitRows Logits(Reader reader, Rows x);
  bool PromptLayer(int index, KvCache& cache, Rows x, const std::function<bool(double)>& progress);

  const Model& model_;
  std::unique_ptr<Backend> backend_;
  TransformerLimits limits_;
  Buffer memory_;
  Rows hidden_;  // [max(context, step_rows), hidden]
  Rows normed_;  // [pass rows, hidden]
  Rows q_, k_, v_, attended_, gate_, up_;
  Rows logits_;  // [step_rows, vocab]
  Rows maxima_;  // LogitRows::maxima
  float* rope_table_ = nullptr;
  AttendProducts prompt_products_ = AttendProducts::kHalf;
  Inputs prompt_inputs_ = Inputs::kHalf;
  std::vector<Slice> slices_;
};

}  // namespace quantspec
