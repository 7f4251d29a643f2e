// A model's weights: which tensors there are, how each is stored, and loading them.
//
// Keep what the source knows, never more: 4-bit affine sources are imported code by code into one
// plane, everything finer becomes HQ8 with two planes that serve target and draft (docs/formats/
// hq8.md). How many planes the draft reads of a tensor is data of its plan.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "formats/loaded_model.h"
#include "kernels/backend.h"
#include "quantspec/types.h"

namespace quantspec {

struct WeightOptions {
  WeightMode mode = WeightMode::kAuto;
  int group = 32;              // wanted HQ8 group; the largest of 128, 64, 32 up to it that divides
  int draft_exact_layers = 0;  // last layers that the draft reads as the target does
};

// A linear layer: what the target multiplies with, and what the draft does.
struct Linear {
  PackedWeight target;
  PackedWeight draft;                   // the same planes, or a copy of fewer bits
  Planes draft_planes = Planes::kBoth;  // of `draft`
  bool is_refined = false;      // the draft reads its largest outputs again as the target: head.h
  const float* bias = nullptr;  // [outputs] or null
};

// `linear` as `reader` multiplies with it.
Product ProductOf(const Linear& linear, Reader reader, Rows y,
                  Accumulate accumulate = Accumulate::kNo);
// Bytes that one row reads of it.
uint64_t LinearBytes(const Backend& backend, const Linear& linear, Reader reader);

struct LayerWeights {
  // [hidden], null where the layer's class has no such norm; `post` ones are of what a half adds.
  const float *attn_norm = nullptr, *attn_post_norm = nullptr;
  const float *ffn_norm = nullptr, *ffn_post_norm = nullptr;
  const float *q_norm = nullptr, *k_norm = nullptr;  // as QkNorm says
  Linear q, k, v, o, gate, up, down;
};

// How one tensor will be stored; made from names, shapes and options before anything is loaded.
struct TensorPlan {
  const SourceTensor* source = nullptr;
  bool is_linear = false;       // else a vector, kept as float
  WeightSpec target;            // linear layers only
  bool imports_target = false;  // codes as they are, else encoded from float
  bool has_draft_copy = false;
  WeightSpec draft;
  bool imports_draft = false;
  Planes draft_planes = Planes::kBoth;
  bool is_refined = false;
  size_t offset = 0;  // in the arena: target planes, then the draft copy's
  size_t bytes = 0;
  std::string StoredType() const;
  // What the reader multiplies with.
  const WeightSpec& SpecOf(Reader reader) const {
    return reader == Reader::kDraft && has_draft_copy ? draft : target;
  }
};

// Checks that every tensor the architecture needs is there once, with its shape, and nothing
// else. Throws Error{kCorrupt} naming tensor, found and expected shape.
class WeightPlan {
 public:
  // `source` must outlive the plan.
  WeightPlan(const LoadedModel& source, const WeightOptions& options, const Backend& backend);
  uint64_t bytes() const { return bytes_; }
  const std::vector<TensorPlan>& tensors() const { return tensors_; }
  const TensorPlan* Find(std::string_view name) const;  // null if absent

 private:
  void Add(const LoadedModel& source, const std::string& name, const std::vector<int64_t>& shape,
           bool is_optional, bool is_exact_in_draft, const WeightOptions& options,
           const Backend& backend);
  std::vector<TensorPlan> tensors_;
  uint64_t bytes_ = 0;
};

// Immutable after loading; shared by all sessions. Keeps nothing of the source but the reader of
// its embedding.
class Model {
 public:
  // `done` is called with the share loaded; returning false throws Error{kUsage} "interrupted".
  Model(const LoadedModel& source, const WeightOptions& options, const Backend& backend,
        ThreadPool& pool, const std::function<bool(double)>& done);

  const ModelConfig& config() const { return config_; }
  // Row i of `out` [tokens, hidden] = the embedding of tokens[i], all of them below info.vocab.
  // Allocates nothing. Throws as TensorReader does.
  void Embed(std::span<const Token> tokens, Rows out) const;
  const LayerWeights& layer(int index) const { return layers_[static_cast<size_t>(index)]; }
  // Carries ModelConfig::logit_scale.
  const float* output_norm() const { return output_norm_; }
  const Linear& head() const { return head_; }
  uint64_t bytes() const { return arena_.bytes(); }
  // Bytes that one token reads.
  uint64_t ReadBytes(const Backend& backend, Reader reader) const;

 private:
  Linear MakeLinear(const WeightPlan& plan, const Backend& backend, const std::string& name) const;
  const float* Vector(const WeightPlan& plan, const std::string& name) const;

  ModelConfig config_;
  DeviceMemory arena_;
  std::shared_ptr<const TensorReader> embedding_;
  std::vector<LayerWeights> layers_;
  const float* output_norm_ = nullptr;
  Linear head_;
};

}  // namespace quantspec
