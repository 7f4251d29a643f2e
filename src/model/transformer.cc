#include "model/transformer.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "model/head.h"
#include "model/rope_table.h"
#include "model/transformer_memory.h"
#include "quantspec/error.h"

namespace quantspec {

uint64_t Transformer::ScratchBytes(const ModelConfig& config, const Backend& backend,
                                   TransformerLimits limits) {
  Carver device(nullptr), host(nullptr);
  CarveDevice(config, limits, device);
  CarveHost(config, limits, backend.MemoryIsHost(), host);
  return device.bytes() + host.bytes() + backend.ScratchBytes(BackendLimits(config, limits));
}

Transformer::Transformer(const Model& model, std::unique_ptr<Backend> backend,
                         TransformerLimits limits)
    : model_(model),
      backend_(std::move(backend)),
      limits_(limits),
      // A model with float weights is a reference.
      is_float_(model.head().target.spec.format == WeightFormat::kF32) {
  const ModelConfig& config = model.config();
  Carver count(nullptr);
  CarveDevice(config, limits, count);
  memory_ = backend_->Allocate(count.bytes());
  Carver carver(memory_.data());
  const DeviceRows a = CarveDevice(config, limits, carver);
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
  Carver host_count(nullptr);
  CarveHost(config, limits, backend_->MemoryIsHost(), host_count);
  host_ = Buffer(host_count.bytes());
  Carver host_carver(host_.data());
  const HostRows host = CarveHost(config, limits, backend_->MemoryIsHost(), host_carver);
  host_embedded_ = host.embedded;
  host_logits_ = host.logits;
  host_maxima_ = host.maxima;

  for (size_t i = 0; i < a.rope.size(); ++i) {
    std::vector<float> table(static_cast<size_t>(a.rope[i].rows * a.rope[i].columns));
    FillRopeTable(config.classes[i].rope, limits.rope_context, limits.context, table.data());
    backend_->Upload(table.data(), table.size() * sizeof(float), a.rope[i].data);
    rope_tables_.push_back(a.rope[i].data);
  }
  for (int layer = 0; layer < config.info.layers; ++layer) {
    policy_layers_.push_back(static_cast<int>(full_layers_.size()));
    if (config.WindowOf(layer) == 0) full_layers_.push_back(layer);
  }
  slices_.reserve(static_cast<size_t>(limits.sequences));
  attend_rows_.reserve(static_cast<size_t>(limits.sequences));
  backend_->Reserve(BackendLimits(config, limits));
}

Rows Transformer::EmbedOnHost(std::span<const Token> tokens, int row) {
  const Rows rows = host_embedded_.Rows(row, static_cast<int64_t>(tokens.size()));
  model_.Embed(tokens, rows);
  const float scale = model_.config().embedding_scale;
  if (scale != 1.0f) {
    std::for_each_n(rows.data, rows.rows * rows.columns, [&](float& value) { value *= scale; });
  }
  return rows;
}

LogitRows Transformer::Step(Reader reader, std::span<const StepRows> sequences) {
  QS_CHECK(static_cast<int>(sequences.size()) <= limits_.sequences);
  slices_.clear();
  int rows = 0;
  for (const StepRows& sequence : sequences) {
    const int count = static_cast<int>(sequence.tokens.size());
    QS_CHECK(count > 0 && count <= kStepRows && rows + count <= limits_.step_rows);
    QS_CHECK(sequence.draft_weights == sequences.front().draft_weights);
    const int position = sequence.cache->Length();
    QS_CHECK(position + count <= limits_.context);
    EmbedOnHost(sequence.tokens, rows);
    slices_.push_back({sequence.cache, sequence.policy, rows, count, position});
    rows += count;
  }
  const Reader draft_weights = sequences.front().draft_weights;
  const Pass pass{reader, reader == Reader::kDraft ? draft_weights : Reader::kTarget,
                  RowKind::kDecode};
  for (const Slice& slice : slices_) {
    slice.cache->Extend(slice.rows);
    BeginStep(slice, reader, StepPart::kDecode);
  }
  const Rows x = hidden_.Rows(0, rows);
  Upload(host_embedded_.Rows(0, rows), x);
  for (int index = 0; index < model_.config().info.layers; ++index) {
    Attention(index, pass, x, slices_);
    FeedForward(index, pass, x);
  }
  for (const Slice& slice : slices_) slice.policy->EndStep();
  return Logits(pass, x);
}

void Transformer::BeginStep(const Slice& slice, Reader reader, StepPart part) {
  const auto view = [&](int layer) {
    return slice.cache->View(full_layers_[static_cast<size_t>(layer)]);
  };
  slice.policy->BeginStep(
      *backend_, {reader, slice.first_position, slice.rows, slice.cache->Committed(), view, part});
}

void Transformer::StartPrompt(const StepRows& rows, bool is_last, PromptRows& prompt) {
  const int count = static_cast<int>(rows.tokens.size());
  QS_CHECK(!prompt.active() && count > 0 && count <= rows.cache->PromptRoom());
  const int position = rows.cache->Length();
  QS_CHECK(position + count <= limits_.context);
  Upload(EmbedOnHost(rows.tokens, 0), prompt.Rows(0, count));
  prompt.cache_ = rows.cache;
  prompt.policy_ = rows.policy;
  prompt.first_position_ = position;
  prompt.count_ = count;
  prompt.layer_ = prompt.row_ = 0;
  rows.cache->Extend(count);
  BeginStep({rows.cache, rows.policy, 0, count, position}, Reader::kTarget,
            is_last ? StepPart::kEndOfPrompt : StepPart::kPrompt);
}

bool Transformer::AdvancePrompt(int most, PromptRows& prompt) {
  QS_CHECK(prompt.active() && most > 0);
  const int layers = model_.config().info.layers;
  if (prompt.layer_ == layers) return true;
  const int rows = std::min(most, prompt.count_ - prompt.row_);
  const Slice slice{prompt.cache_, prompt.policy_, 0, rows, prompt.first_position_ + prompt.row_};
  const Pass pass{Reader::kTarget, Reader::kTarget, RowKind::kPrompt};
  const Rows x = prompt.Rows(prompt.row_, rows);
  Attention(prompt.layer_, pass, x, {&slice, 1});
  FeedForward(prompt.layer_, pass, x);
  prompt.row_ += rows;
  if (prompt.row_ == prompt.count_) {
    prompt.row_ = 0;
    ++prompt.layer_;
  }
  if (prompt.layer_ < layers) return false;
  prompt.policy_->EndStep();
  return true;
}

void Transformer::EndPrompt(PromptRows& prompt) {
  if (!prompt.active()) return;
  KvCache& cache = *prompt.cache_;
  if (cache.Committed() <= prompt.first_position_) cache.Truncate(prompt.first_position_);
  prompt.count_ = 0;
}

LogitRows Transformer::PromptLogits(const PromptRows& prompt) {
  QS_CHECK(prompt.layer_ == model_.config().info.layers);
  return Logits({Reader::kTarget, Reader::kTarget, RowKind::kPrompt},
                prompt.Rows(prompt.count_ - 1, 1));
}

Activations Transformer::ActivationsOf(RowKind kind) const {
  return kind == RowKind::kPrompt && !is_float_ ? Activations::kBf16 : Activations::kInt8;
}

AttendMath Transformer::MathOf(RowKind kind) const {
  if (kind == RowKind::kDecode) return AttendMath::kCodes;
  return is_float_ ? AttendMath::kFloat : AttendMath::kBf16;
}

AttendRows Transformer::StoreRows(int index, Reader reader, const Slice& slice, Rows q, Rows k,
                                  ConstRows v) {
  const LayerClass& shape = model_.config().layer(index);
  const auto layer_class = static_cast<size_t>(model_.config().ClassOf(index));
  const Rotation rotation{shape.rope.rotated, shape.rope.layout, rope_tables_[layer_class]};
  q = q.Rows(slice.first_row, slice.rows);
  k = k.Rows(slice.first_row, slice.rows);
  v = v.Rows(slice.first_row, slice.rows);
  backend_->Rotate(q, shape.q_heads, rotation, slice.first_position);
  backend_->Rotate(k, shape.kv_heads, rotation, slice.first_position);
  GrowQueries(shape.query_growth, slice.first_position, q);
  const bool is_full = model_.config().WindowOf(index) == 0;
  const int policy_layer = policy_layers_[static_cast<size_t>(index)];
  if (is_full && reader == Reader::kTarget) {
    slice.policy->TakeQueries(*backend_, policy_layer, q, slice.first_position);
  }

  AttendRows rows{slice.first_row, slice.rows, slice.first_position, slice.cache->View(index), {}};
  const int64_t end = slice.first_position + slice.rows;
  for (int i = 0; i < rows.kv.dense_count; ++i) {
    DenseSegment& segment = rows.kv.dense[i];
    // Rows that are still to come through this layer hold nothing.
    segment.rows = std::clamp<int64_t>(end - segment.first_position, 0, segment.rows);
    const int64_t first = std::max<int64_t>(slice.first_position, segment.first_position);
    const int64_t count = segment.first_position + segment.rows - first;
    if (count <= 0) continue;
    backend_->StoreKv(k.Rows(first - slice.first_position, count),
                      v.Rows(first - slice.first_position, count), {shape.kv_heads, shape.head_dim},
                      segment, segment.first_row + first - segment.first_position);
  }
  while (rows.kv.dense_count > 0 && rows.kv.dense[rows.kv.dense_count - 1].rows == 0) {
    --rows.kv.dense_count;
  }
  if (!is_full) return rows;
  if (reader == Reader::kDraft) {
    rows.kv = slice.policy->View(policy_layer, rows.kv);
  } else if (end == slice.cache->Length()) {
    rows.masses = slice.policy->Masses(policy_layer);
  }
  return rows;
}

void Transformer::Attention(int index, const Pass& pass, Rows x, std::span<const Slice> slices) {
  const LayerClass& shape = model_.config().layer(index);
  const LayerWeights& layer = model_.layer(index);
  const ConstRows in = Normed(x, layer.attn_norm, shape.epsilon);
  const Rows q(q_.data, x.rows, shape.QueryWidth()), attended(attended_.data, x.rows, q.columns);
  const Rows k(k_.data, x.rows, shape.KvWidth()), v(v_.data, x.rows, k.columns);
  const Product products[] = {ProductOf(layer.q, pass.weights, q),
                              ProductOf(layer.k, pass.weights, k),
                              ProductOf(layer.v, pass.weights, v)};
  backend_->MatMul(in, products, ActivationsOf(pass.kind));
  if (shape.qk_norm != QkNorm::kNone) {
    const bool is_whole = shape.qk_norm == QkNorm::kWhole;
    const int q_parts = is_whole ? 1 : shape.q_heads, k_parts = is_whole ? 1 : shape.kv_heads;
    const Rows q_norms(q.data, q.rows * q_parts, q.columns / q_parts);
    const Rows k_norms(k.data, k.rows * k_parts, k.columns / k_parts);
    backend_->RmsNorm(q_norms, layer.q_norm, shape.epsilon, q_norms);
    backend_->RmsNorm(k_norms, layer.k_norm, shape.epsilon, k_norms);
  }
  attend_rows_.clear();
  for (const Slice& slice : slices) {
    attend_rows_.push_back(StoreRows(index, pass.reader, slice, q, k, v));
  }
  AttendArgs args;
  args.geometry = {shape.kv_heads, shape.head_dim};
  args.q_heads = shape.q_heads;
  args.scale = shape.ScoreScale();
  args.math = MathOf(pass.kind);
  args.window = model_.config().WindowOf(index);
  args.softcap = shape.attention_softcap;
  args.q = q;
  args.out = attended;
  args.sequences = attend_rows_;
  backend_->Attend(args);
  AddToResidual(shape, layer.o, layer.attn_post_norm, pass, attended, x);
}

void Transformer::FeedForward(int index, const Pass& pass, Rows x) {
  const LayerClass& shape = model_.config().layer(index);
  const LayerWeights& layer = model_.layer(index);
  const ConstRows in = Normed(x, layer.ffn_norm, shape.epsilon);
  const Rows gate(gate_.data, x.rows, shape.ffn), up(up_.data, x.rows, shape.ffn);
  const Product products[] = {ProductOf(layer.gate, pass.weights, gate),
                              ProductOf(layer.up, pass.weights, up)};
  backend_->MatMul(in, products, ActivationsOf(pass.kind));
  backend_->GatedActivation(gate, up, gate, shape.activation);
  AddToResidual(shape, layer.down, layer.ffn_post_norm, pass, gate, x);
}

ConstRows Transformer::Normed(ConstRows x, const float* norm, float epsilon) {
  if (norm == nullptr) return x;
  const Rows normed = normed_.Rows(0, x.rows);
  backend_->RmsNorm(x, norm, epsilon, normed);
  return normed;
}

void Transformer::AddToResidual(const LayerClass& shape, const Linear& linear,
                                const float* post_norm, const Pass& pass, ConstRows in, Rows x) {
  const bool is_plain = post_norm == nullptr && shape.residual_scale == 1.0f;
  const Rows added = is_plain ? x : normed_.Rows(0, x.rows);
  const Product product =
      ProductOf(linear, pass.weights, added, is_plain ? Accumulate::kYes : Accumulate::kNo);
  backend_->MatMul(in, {&product, 1}, ActivationsOf(pass.kind));
  if (is_plain) return;
  if (post_norm != nullptr) backend_->RmsNorm(added, post_norm, shape.epsilon, added);
  backend_->AddScaled(added, shape.residual_scale, x);
}

void Transformer::GrowQueries(const QueryGrowth& growth, int64_t first_position, Rows q) {
  if (growth.beta == 0) return;
  for (int64_t row = 0; row < q.rows;) {
    const int64_t periods = (first_position + row) / growth.period;
    const int64_t end = std::min(q.rows, (periods + 1) * growth.period - first_position);
    const double factor = 1 + growth.beta * std::log1p(static_cast<double>(periods));
    if (periods > 0) backend_->Scale(q.Rows(row, end - row), static_cast<float>(factor));
    row = end;
  }
}

void Transformer::CheckFinite(ConstRows x) {
  const ConstRows host = backend_->OnHost(x, host_embedded_.data);
  // The squares of larger numbers overflow, and a norm makes zeros of all. Read as whole numbers,
  // magnitudes keep their order, and infinity and NaN are the largest.
  constexpr int32_t kLargest = std::bit_cast<int32_t>(1e18f);
  int32_t largest = 0;
  for (int64_t row = 0; row < host.rows; ++row) {
    for (int64_t i = 0; i < host.columns; ++i) {
      largest = std::max(largest, std::bit_cast<int32_t>(host.Row(row)[i]) & 0x7FFFFFFF);
    }
  }
  if (largest < kLargest) return;
  throw Error(
      ErrorKind::kCorrupt,
      "the model's numbers are not finite behind its last layer: its weights overflow; they "
      "are damaged, or of a format that was read wrongly");
}

LogitRows Transformer::Logits(const Pass& pass, Rows x) {
  // Quantised products would make zeros of such numbers. What a draft makes is judged anyway.
  if (pass.reader == Reader::kTarget) CheckFinite(x);
  const Rows normed = normed_.Rows(0, x.rows), logits = logits_.Rows(0, x.rows),
             maxima = maxima_.Rows(0, x.rows);
  backend_->RmsNorm(x, model_.output_norm(), model_.config().final_epsilon, normed);
  MultiplyHead(*backend_, model_.head(), pass.weights, normed, logits, maxima, host_maxima_.data);
  if (const float cap = model_.config().logit_softcap; cap > 0) {
    // The largest of a pack is still its largest.
    backend_->SoftCap(logits, cap);
    backend_->SoftCap(maxima, cap);
  }
  return {backend_->OnHost(logits, host_logits_.data), backend_->OnHost(maxima, host_maxima_.data),
          kPackRows};
}

void Transformer::Upload(ConstRows host, Rows device) const {
  const size_t bytes = static_cast<size_t>(host.rows * host.columns) * sizeof(float);
  backend_->Upload(host.data, bytes, device.data);
}

}  // namespace quantspec
