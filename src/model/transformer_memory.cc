#include "model/transformer_memory.h"

#include <algorithm>

namespace quantspec {
namespace {

// The largest of `width(layer class)` over all of them.
template <typename Width>
int Most(const ModelConfig& config, const Width& width) {
  int most = 0;
  for (const LayerClass& layer : config.classes) most = std::max(most, width(layer));
  return most;
}
int MostQueryWidth(const ModelConfig& config) {
  return Most(config, [](const LayerClass& layer) { return layer.QueryWidth(); });
}
int MostFfn(const ModelConfig& config) {
  return Most(config, [](const LayerClass& layer) { return layer.ffn; });
}

int64_t PassRows(TransformerLimits limits) {
  return std::max(std::min(limits.context, kChunkTokens), limits.step_rows);
}

}  // namespace

Rows Carver::Take(int64_t rows, int64_t columns) {
  Rows taken(reinterpret_cast<float*>(memory_ + bytes_), rows, columns);
  bytes_ += static_cast<size_t>(RoundUp(rows * columns * static_cast<int64_t>(sizeof(float)), 64));
  return taken;
}

DeviceRows CarveDevice(const ModelConfig& config, TransformerLimits limits, Carver& carver) {
  const ModelInfo& info = config.info;
  const int64_t pass = PassRows(limits);
  const int64_t q_width = MostQueryWidth(config), ffn = MostFfn(config);
  const int64_t kv_width = Most(config, [](const LayerClass& layer) { return layer.KvWidth(); });
  DeviceRows a;
  a.hidden = carver.Take(limits.step_rows, info.hidden);
  a.normed = carver.Take(pass, info.hidden);
  a.q = carver.Take(pass, q_width);
  a.k = carver.Take(pass, kv_width);
  a.v = carver.Take(pass, kv_width);
  a.attended = carver.Take(pass, q_width);
  a.gate = carver.Take(pass, ffn);
  a.up = carver.Take(pass, ffn);
  a.logits = carver.Take(limits.step_rows, info.vocab);
  a.maxima = carver.Take(limits.step_rows, CeilDiv(info.vocab, kPackRows));
  for (const LayerClass& layer : config.classes) {
    a.rope.push_back(carver.Take(limits.context, layer.rope.rotated));
  }
  return a;
}

HostRows CarveHost(const ModelConfig& config, TransformerLimits limits, bool device_is_host,
                   Carver& carver) {
  HostRows a;
  a.embedded = carver.Take(PassRows(limits), config.info.hidden);
  if (device_is_host) return a;
  a.logits = carver.Take(limits.step_rows, config.info.vocab);
  a.maxima = carver.Take(limits.step_rows, CeilDiv(config.info.vocab, kPackRows));
  return a;
}

ScratchLimits BackendLimits(const ModelConfig& config, TransformerLimits limits) {
  ScratchLimits scratch;
  scratch.rows = PassRows(limits);
  scratch.inputs = std::max({config.info.hidden, MostFfn(config), MostQueryWidth(config)});
  scratch.step_rows = limits.step_rows;
  scratch.sequences = limits.sequences;
  scratch.positions = limits.positions;
  scratch.geometry = {config.info.kv_heads, config.info.head_dim};
  scratch.q_heads = config.info.q_heads;
  return scratch;
}

}  // namespace quantspec
