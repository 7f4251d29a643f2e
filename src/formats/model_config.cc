#include "formats/model_config.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace quantspec {

std::vector<int> ModelConfig::Windows() const {
  std::vector<int> windows;
  for (int layer = 0; layer < info.layers; ++layer) windows.push_back(WindowOf(layer));
  if (std::ranges::count(windows, 0) == info.layers) windows.clear();
  return windows;
}

float LayerClass::ScoreScale() const {
  return attention_scale > 0 ? attention_scale : 1.0f / std::sqrt(static_cast<float>(head_dim));
}

bool ModelConfig::ReadsLongRope(int context) const {
  return std::ranges::any_of(
      classes, [&](const LayerClass& layer) { return layer.rope.ReadsLong(context); });
}

ModelConfig LayeredConfig(const ModelInfo& info, std::vector<LayerClass> layers) {
  ModelConfig config;
  config.info = info;
  config.tokens = info.vocab;
  config.final_epsilon = layers.front().epsilon;
  for (LayerClass& layer : layers) {
    layer.q_heads = info.q_heads;
    layer.kv_heads = info.kv_heads;
    layer.head_dim = info.head_dim;
    layer.ffn = info.ffn;
    if (layer.window >= info.context) layer.window = 0;
    const auto known = std::find(config.classes.begin(), config.classes.end(), layer);
    config.class_of_layer.push_back(static_cast<uint8_t>(known - config.classes.begin()));
    if (known == config.classes.end()) config.classes.push_back(std::move(layer));
  }
  return config;
}

ModelConfig UniformConfig(const ModelInfo& info, LayerClass layer) {
  return LayeredConfig(info,
                       std::vector<LayerClass>(static_cast<size_t>(info.layers), std::move(layer)));
}

}  // namespace quantspec
