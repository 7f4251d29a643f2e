#include "formats/model_config.h"

#include <utility>

namespace quantspec {

ModelConfig UniformConfig(const ModelInfo& info, LayerClass layer) {
  layer.q_heads = info.q_heads;
  layer.kv_heads = info.kv_heads;
  layer.head_dim = info.head_dim;
  layer.ffn = info.ffn;
  ModelConfig config;
  config.info = info;
  config.tokens = info.vocab;
  config.final_epsilon = layer.epsilon;
  config.classes = {std::move(layer)};
  config.class_of_layer.assign(static_cast<size_t>(info.layers), 0);
  return config;
}

}  // namespace quantspec
