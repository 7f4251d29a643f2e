#include "model/transformer.h"

#include <algorithm>
#include <cmath>

#include "model/head.h"

namespace quantspec {
namespace {

// Takes `memory` in pieces of rows; with null memory it only counts.
class Carver {
 public:
  explicit Carver(std::byte* memory) : memory_(memory) {}
  Rows Take(int64_t rows, int64_t columns) {
    Rows taken(reinterpret_cast<float*>(memory_ + bytes_), rows, columns);
    bytes_ +=
        static_cast<size_t>(RoundUp(rows * columns * static_cast<int64_t>(sizeof(float)), 64));
    return taken;
  }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* memory_;
  size_t bytes_ = 0;
};

struct Activations {
  Rows hidden, normed, q, k, v, attended, gate, up, logits, maxima, rope;
};

int64_t PassRows(TransformerLimits limits) {
  return std::max<int64_t>(std::min(limits.context, Transformer::kPromptChunk), limits.step_rows);
}

Activations Carve(const ModelConfig& config, TransformerLimits limits, Carver& carver) {
  const ModelInfo& info = config.info;
  const int64_t pass = PassRows(limits);
  Activations a;
  a.hidden = carver.Take(std::max(limits.context, limits.step_rows), info.hidden);
  a.normed = carver.Take(pass, info.hidden);
  a.q = carver.Take(pass, config.QueryWidth());
  a.k = carver.Take(pass, config.KvWidth());
  a.v = carver.Take(pass, config.KvWidth());
  a.attended = carver.Take(pass, config.QueryWidth());
  a.gate = carver.Take(pass, info.ffn);
  a.up = carver.Take(pass, info.ffn);
  a.logits = carver.Take(limits.step_rows, info.vocab);
  a.maxima = carver.Take(limits.step_rows, CeilDiv(info.vocab, kPackRows));
  a.rope = carver.Take(limits.context, config.rope.rotated);
  return a;
}

ScratchLimits BackendLimits(const ModelConfig& config, TransformerLimits limits) {
  ScratchLimits scratch;
  scratch.rows = PassRows(limits);
  scratch.inputs = std::max({config.info.hidden, config.info.ffn, config.QueryWidth()});
  scratch.positions = limits.context;
  scratch.geometry = {config.info.kv_heads, config.info.head_dim};
  scratch.q_heads = config.info.q_heads;
  scratch.fine_rows = limits.step_rows;
  return scratch;
}

}  // namespace

uint64_t Transformer::ScratchBytes(const ModelConfig& config, const Backend& backend,
                                   TransformerLimits limits) {
  Carver carver(nullptr);
  Carve(config, limits, carver);
  return carver.bytes() + backend.ScratchBytes(BackendLimits(config, limits));
}

uint64_t Transformer::ScratchBytes(const Model& model, const Backend& backend,
                                   TransformerLimits limits) {
  return ScratchBytes(model.config(), backend, limits);
}

Transformer::Transformer(const Model& model, std::unique_ptr<Backend> backend,
                         TransformerLimits limits)
    : model_(model), backend_(std::move(backend)), limits_(limits) {
  const ModelConfig& config = model.config();
  Carver count(nullptr);
  Carve(config, limits, count);
  memory_ = Buffer(count.bytes());
  Carver carver(memory_.data());
  const Activations a = Carve(config, limits, carver);
  hidden_ = a.hidden;
  normed_ = a.normed;
  q_ = a.q;
  k_ = a.k;
  v_ = a.v;
  attended_ = a.attended;
  gate_ = a.gate;
  up_ = a.up;
  logits_ = a.logits;
  maxima_ = a.maxima;
  rope_table_ = a.rope.data;
  FillRopeTable(config.rope, limits.context, rope_table_);
  slices_.reserve(static_cast<size_t>(limits.step_rows));
  // Float weights are for reference: nothing is rounded there that need not be.
  if (model.head().target.spec.format == WeightFormat::kF32) {
    prompt_products_ = AttendProducts::kFloat;
    prompt_inputs_ = Inputs::kOnePlane;
  }
  backend_->Reserve(BackendLimits(config, limits));
}

LogitRows Transformer::Step(Reader reader, std::span<const StepRows> sequences) {
  slices_.clear();
  int rows = 0;
  for (const StepRows& sequence : sequences) {
    const int count = static_cast<int>(sequence.tokens.size());
    QS_CHECK(count > 0 && rows + count <= limits_.step_rows);
    const int position = sequence.cache->Length();
    QS_CHECK(position + count <= limits_.context);
    sequence.cache->Extend(count);
    backend_->Embed(model_.embedding(), sequence.tokens, hidden_.Rows(rows, count));
    slices_.push_back({sequence.cache, rows, count, position, nullptr});
    rows += count;
  }
  const Rows x = hidden_.Rows(0, rows);
  for (int index = 0; index < model_.config().info.layers; ++index) {
    Layer(index, reader, x, slices_);
  }
  return Logits(reader, x);
}

ConstRows Transformer::Prefill(KvCache& cache, std::span<const Token> prompt,
                               const std::function<bool(double)>& progress) {
  QS_CHECK(cache.Length() == 0 && !prompt.empty());
  const int tokens = static_cast<int>(prompt.size());
  QS_CHECK(tokens <= limits_.context);
  const Rows x = hidden_.Rows(0, tokens);
  backend_->Embed(model_.embedding(), prompt, x);
  for (int index = 0; index < model_.config().info.layers; ++index) {
    if (!PromptLayer(index, cache, x, progress)) {
      cache.Clear();
      return {};
    }
  }
  cache.EndPrompt(tokens);
  return Logits(Reader::kTarget, x.Rows(tokens - 1, 1));
}

bool Transformer::PromptLayer(int index, KvCache& cache, Rows x,
                              const std::function<bool(double)>& progress) {
  const int layers = model_.config().info.layers;
  const int tokens = static_cast<int>(x.rows);
  DenseSegment prompt = cache.PromptSegment(index, tokens);
  for (int first = 0; first < tokens; first += kPromptChunk) {
    const int rows = std::min(kPromptChunk, tokens - first);
    prompt.rows = first + rows;
    const Slice slice{&cache, 0, rows, first, &prompt};
    Layer(index, Reader::kTarget, x.Rows(first, rows), {&slice, 1});
    const double done = (index + static_cast<double>(first + rows) / tokens) / layers;
    if (progress && !progress(done)) return false;
  }
  cache.TakePrompt(*backend_, index, tokens);
  return true;
}

void Transformer::Layer(int index, Reader reader, Rows x, std::span<const Slice> slices) {
  // Slices of a prompt come alone.
  const bool is_prompt = slices.front().prompt != nullptr;
  const Inputs inputs = is_prompt ? prompt_inputs_ : Inputs::kOnePlane;
  Attention(index, reader, inputs, x, slices);
  FeedForward(index, reader, inputs, x);
}

void Transformer::Attention(int index, Reader reader, Inputs inputs, Rows x,
                            std::span<const Slice> slices) {
  const ModelConfig& config = model_.config();
  const ModelInfo& info = config.info;
  const LayerWeights& layer = model_.layer(index);
  const Rows normed = normed_.Rows(0, x.rows), q = q_.Rows(0, x.rows), k = k_.Rows(0, x.rows),
             v = v_.Rows(0, x.rows), attended = attended_.Rows(0, x.rows);
  backend_->RmsNorm(x, layer.attn_norm, config.epsilon, normed);
  const Product products[] = {ProductOf(layer.q, reader, q), ProductOf(layer.k, reader, k),
                              ProductOf(layer.v, reader, v)};
  backend_->MatMul(normed, products, inputs);
  if (config.has_qk_norm) {
    const Rows q_by_head(q.data, q.rows * info.q_heads, info.head_dim);
    const Rows k_by_head(k.data, k.rows * info.kv_heads, info.head_dim);
    backend_->RmsNorm(q_by_head, layer.q_norm, config.epsilon, q_by_head);
    backend_->RmsNorm(k_by_head, layer.k_norm, config.epsilon, k_by_head);
  }
  for (const Slice& slice : slices) {
    AttendArgs args;
    if (slice.prompt != nullptr) {
      args.kv.geometry = {info.kv_heads, info.head_dim};
      args.kv.dense[0] = *slice.prompt;
      args.kv.dense_count = 1;
      args.products = prompt_products_;
    } else {
      args.kv = slice.cache->View(index, reader);
    }
    args.q = q.Rows(slice.first_row, slice.rows);
    args.k = k.Rows(slice.first_row, slice.rows);
    args.v = v.Rows(slice.first_row, slice.rows);
    args.rotation = {config.rope.rotated, config.rope.layout, rope_table_};
    args.first_position = slice.first_position;
    args.q_heads = info.q_heads;
    args.scale = 1.0f / std::sqrt(static_cast<float>(info.head_dim));
    args.out = attended.Rows(slice.first_row, slice.rows);
    backend_->Attend(args);
  }
  const Product output = ProductOf(layer.o, reader, x, Accumulate::kYes);
  backend_->MatMul(attended, {&output, 1}, inputs);
}

void Transformer::FeedForward(int index, Reader reader, Inputs inputs, Rows x) {
  const LayerWeights& layer = model_.layer(index);
  const Rows normed = normed_.Rows(0, x.rows), gate = gate_.Rows(0, x.rows),
             up = up_.Rows(0, x.rows);
  backend_->RmsNorm(x, layer.ffn_norm, model_.config().epsilon, normed);
  const Product products[] = {ProductOf(layer.gate, reader, gate), ProductOf(layer.up, reader, up)};
  backend_->MatMul(normed, products, inputs);
  backend_->GatedActivation(gate, up, gate);
  const Product down = ProductOf(layer.down, reader, x, Accumulate::kYes);
  backend_->MatMul(gate, {&down, 1}, inputs);
}

LogitRows Transformer::Logits(Reader reader, Rows x) {
  static_assert(kLogitPack == kPackRows);
  const Rows normed = normed_.Rows(0, x.rows), logits = logits_.Rows(0, x.rows),
             maxima = maxima_.Rows(0, x.rows);
  backend_->RmsNorm(x, model_.output_norm(), model_.config().epsilon, normed);
  MultiplyHead(*backend_, model_.head(), reader, normed, logits, maxima);
  return {logits, maxima};
}

}  // namespace quantspec
