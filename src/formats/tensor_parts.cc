#include "formats/tensor_parts.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quantspec {
namespace {

// Rows of another matrix, from `first` on.
class RowsOf : public TensorReader {
 public:
  RowsOf(std::shared_ptr<const TensorReader> whole, int64_t first)
      : whole_(std::move(whole)), first_(first) {}

  void Decode(int64_t first, Rows out) const override { whole_->Decode(first_ + first, out); }
  SourceCodes codes() const override { return whole_->codes(); }
  void Import(int64_t first, int64_t rows, uint8_t* upper, uint8_t* lower,
              GroupScale* scales) const override {
    whole_->Import(first_ + first, rows, upper, lower, scales);
  }

 private:
  std::shared_ptr<const TensorReader> whole_;
  int64_t first_;
};

class OneMore : public TensorReader {
 public:
  explicit OneMore(std::shared_ptr<const TensorReader> weight) : weight_(std::move(weight)) {}

  void Decode(int64_t first, Rows out) const override {
    weight_->Decode(first, out);
    for (int64_t row = 0; row < out.rows; ++row) {
      std::for_each_n(out.Row(row), out.columns, [](float& value) { value += 1.0f; });
    }
  }

 private:
  std::shared_ptr<const TensorReader> weight_;
};

constexpr std::string_view kLayers = "layers.";

// The layer in "layers.3.attn.qkv"; -1 for a name without one, or one that the model has not.
int LayerOf(std::string_view name, const ModelConfig& config) {
  if (!name.starts_with(kLayers)) return -1;
  name.remove_prefix(kLayers.size());
  int layer = -1;
  std::from_chars(name.data(), name.data() + name.size(), layer);
  return layer < config.info.layers ? layer : -1;
}

struct Part {
  const char* name;
  int64_t rows;
};

class Splitter {
 public:
  explicit Splitter(LoadedModel* model) : model_(*model), whole_(std::move(model->tensors)) {
    model_.tensors.clear();
  }

  void Run() {
    for (const SourceTensor& tensor : whole_) {
      const int layer = LayerOf(tensor.name, model_.config);
      const std::string_view part =
          layer < 0 ? "" : std::string_view(tensor.name).substr(tensor.name.find('.', 7) + 1);
      if (part == "attn.qkv") {
        const LayerClass& shape = model_.config.layer(layer);
        Split(tensor, part,
              {{"attn.q", shape.QueryWidth()},
               {"attn.k", shape.KvWidth()},
               {"attn.v", shape.KvWidth()}});
      } else if (part == "ffn.gate_up" || (part == "ffn.up" && IsDouble(tensor, layer))) {
        const int64_t ffn = model_.config.layer(layer).ffn;
        Split(tensor, part, {{"ffn.gate", ffn}, {"ffn.up", ffn}});
      } else {
        model_.tensors.push_back(tensor);
      }
    }
  }

 private:
  bool IsDouble(const SourceTensor& up, int layer) const {
    const std::string gate = std::string(kLayers) + std::to_string(layer) + ".ffn.gate";
    return up.rows() == 2 * int64_t{model_.config.layer(layer).ffn} &&
           std::none_of(whole_.begin(), whole_.end(),
                        [&](const SourceTensor& tensor) { return tensor.name == gate; });
  }

  void Split(const SourceTensor& tensor, std::string_view name, std::initializer_list<Part> parts) {
    int64_t rows = 0;
    for (const Part& part : parts) rows += part.rows;
    if (tensor.shape.size() != 2 || tensor.rows() != rows) {
      throw Error(ErrorKind::kCorrupt, model_.name + ": tensor " + tensor.source_name + ": found " +
                                           std::to_string(tensor.rows()) + " rows, expected " +
                                           std::to_string(rows) +
                                           "; the metadata and the tensors differ");
    }
    const std::string prefix = tensor.name.substr(0, tensor.name.size() - name.size());
    int64_t first = 0;
    for (const Part& part : parts) {
      SourceTensor made = tensor;
      made.name = prefix + part.name;
      made.source_name += " (" + std::string(part.name) + ")";
      made.shape[0] = part.rows;
      made.bytes = tensor.bytes / static_cast<uint64_t>(rows) * static_cast<uint64_t>(part.rows);
      made.reader = std::make_shared<RowsOf>(tensor.reader, first);
      first += part.rows;
      model_.tensors.push_back(std::move(made));
    }
  }

  LoadedModel& model_;
  std::vector<SourceTensor> whole_;
};

}  // namespace

void SplitFused(LoadedModel* model) { Splitter(model).Run(); }

void AddOneToNorms(LoadedModel* model) {
  for (SourceTensor& tensor : model->tensors) {
    if (!tensor.name.ends_with("_norm")) continue;
    tensor.reader = std::make_shared<OneMore>(std::move(tensor.reader));
  }
}

}  // namespace quantspec
