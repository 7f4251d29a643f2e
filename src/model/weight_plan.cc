#include <algorithm>

#include "model/weights.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

WeightSpec SpecFor(WeightFormat format, const SourceTensor& source, int group) {
  WeightSpec spec;
  spec.format = format;
  spec.outputs = source.rows();
  spec.inputs = source.columns();
  spec.group = format == WeightFormat::kHq4 || format == WeightFormat::kHq8 ? group : 0;
  return spec;
}

// The storage table of docs/architecture.md: the source's codes and the mode decide.
void PlanLinear(const WeightOptions& options, bool is_head, bool is_exact_in_draft,
                TensorPlan& plan) {
  const SourceTensor& source = *plan.source;
  const SourceCodes codes = source.reader->codes();
  const bool has_codes4 = codes.bits == 4;
  const int group = WeightGroup(source.columns(), options.group);
  // Rows that no group divides stay dense.
  const WeightFormat dense = WeightFormat::kBf16;
  switch (options.mode) {
    case WeightMode::kFloat:
      plan.target = SpecFor(WeightFormat::kF32, source, 0);
      return;
    case WeightMode::kBf16:
      plan.target = SpecFor(dense, source, 0);
      if (is_exact_in_draft || group == 0) return;
      plan.has_draft_copy = true;
      plan.imports_draft = has_codes4;
      plan.draft = SpecFor(WeightFormat::kHq4, source, has_codes4 ? codes.group : group);
      plan.is_refined = is_head;
      return;
    case WeightMode::kAuto:
      if (has_codes4) {
        plan.target = SpecFor(WeightFormat::kHq4, source, codes.group);
        plan.imports_target = true;
        return;
      }
      [[fallthrough]];
    case WeightMode::kNested:
      plan.target = SpecFor(group == 0 ? dense : WeightFormat::kHq8, source, group);
      if (group == 0) return;
      if (!is_exact_in_draft) {
        plan.draft_planes = Planes::kUpper;
        plan.is_refined = is_head;
      }
      // 8-bit codes of the source lose nothing, but their range is symmetric, which costs a reader
      // of the upper plane alone one level in nine; a refined head can bear that.
      plan.imports_target =
          (is_head || is_exact_in_draft) && codes.bits == 8 && codes.group == group;
      return;
  }
}

size_t TotalBytes(const WeightBytes& bytes) { return bytes.upper + bytes.lower; }

std::string SpecText(const WeightSpec& spec) {
  switch (spec.format) {
    case WeightFormat::kF32:
      return "f32";
    case WeightFormat::kBf16:
      return "bf16";
    case WeightFormat::kHq4:
      return "hq4 g" + std::to_string(spec.group);
    case WeightFormat::kHq8:
      return "hq8 g" + std::to_string(spec.group);
  }
  return "";
}

struct LayerTensor {
  const char* name;
  std::vector<int64_t> shape;
  bool is_optional;
};

// One line a tensor: name, shape, needed or not.
std::vector<LayerTensor> TensorsOfLayer(int64_t hidden, const LayerClass& layer) {
  const int64_t ffn = layer.ffn, q = layer.QueryWidth(), kv = layer.KvWidth();
  std::vector<LayerTensor> tensors = {
      {"attn.q", {q, hidden}, false},     {"attn.q.bias", {q}, true},
      {"attn.k", {kv, hidden}, false},    {"attn.k.bias", {kv}, true},
      {"attn.v", {kv, hidden}, false},    {"attn.v.bias", {kv}, true},
      {"attn.o", {hidden, q}, false},     {"attn.o.bias", {hidden}, true},
      {"ffn.gate", {ffn, hidden}, false}, {"ffn.gate.bias", {ffn}, true},
      {"ffn.up", {ffn, hidden}, false},   {"ffn.up.bias", {ffn}, true},
      {"ffn.down", {hidden, ffn}, false}, {"ffn.down.bias", {hidden}, true},
  };
  if (layer.norms != NormPlace::kAfter) {
    tensors.push_back({"attn_norm", {hidden}, false});
    tensors.push_back({"ffn_norm", {hidden}, false});
  }
  if (layer.norms != NormPlace::kBefore) {
    tensors.push_back({"attn_post_norm", {hidden}, false});
    tensors.push_back({"ffn_post_norm", {hidden}, false});
  }
  if (layer.qk_norm != QkNorm::kNone) {
    const bool is_whole = layer.qk_norm == QkNorm::kWhole;
    tensors.push_back({"attn.q_norm", {is_whole ? q : layer.head_dim}, false});
    tensors.push_back({"attn.k_norm", {is_whole ? kv : layer.head_dim}, false});
  }
  return tensors;
}

// The tensor of this name, null if absent. Throws if it has another shape.
const SourceTensor* FindChecked(const LoadedModel& source, const std::string& name,
                                const std::vector<int64_t>& shape) {
  const SourceTensor* tensor = source.Find(name);
  if (tensor == nullptr || tensor->shape == shape) return tensor;
  throw Error(ErrorKind::kCorrupt, source.name + ": tensor " + tensor->source_name +
                                       ": found shape " + ShapeText(tensor->shape) + ", expected " +
                                       ShapeText(shape) + "; the metadata and the tensors differ");
}

const SourceTensor* Require(const LoadedModel& source, const std::string& name,
                            const std::vector<int64_t>& shape) {
  if (const SourceTensor* tensor = FindChecked(source, name, shape)) return tensor;
  const std::string wanted = source.name_in_source ? source.name_in_source(name) : name;
  throw Error(ErrorKind::kCorrupt, source.name + ": tensor " + wanted + " is missing, expected " +
                                       ShapeText(shape) + "; the file is damaged or incomplete");
}

}  // namespace

std::string TensorPlan::StoredType() const {
  if (!is_linear) return "f32";
  return SpecText(target) + (has_draft_copy ? " + " + SpecText(draft) : "");
}

void WeightPlan::Add(const LoadedModel& source, const std::string& name,
                     const std::vector<int64_t>& shape, bool is_optional, bool is_exact_in_draft,
                     const WeightOptions& options, const Backend& backend) {
  TensorPlan plan;
  plan.source = is_optional ? FindChecked(source, name, shape) : Require(source, name, shape);
  if (plan.source == nullptr) return;
  plan.is_linear = shape.size() == 2;
  plan.offset = bytes_;
  if (plan.is_linear) {
    const bool is_head = name == "head" || name == "embedding";
    PlanLinear(options, is_head, is_exact_in_draft, plan);
    plan.bytes = TotalBytes(backend.SizeOf(plan.target));
    if (plan.has_draft_copy) plan.bytes += TotalBytes(backend.SizeOf(plan.draft));
  } else {
    plan.bytes = static_cast<size_t>(RoundUp(shape[0] * static_cast<int64_t>(sizeof(float)), 64));
  }
  bytes_ += plan.bytes;
  tensors_.push_back(plan);
}

WeightPlan::WeightPlan(const LoadedModel& source, const WeightOptions& options,
                       const Backend& backend) {
  const ModelConfig& config = source.config;
  const ModelInfo& info = config.info;
  for (int layer = 0; layer < info.layers; ++layer) {
    const bool is_exact = layer >= info.layers - options.draft_exact_layers;
    for (const LayerTensor& tensor : TensorsOfLayer(info.hidden, config.layer(layer))) {
      Add(source, "layers." + std::to_string(layer) + "." + tensor.name, tensor.shape,
          tensor.is_optional, is_exact, options, backend);
    }
  }
  Add(source, "final_norm", {info.hidden}, false, true, options, backend);
  const std::vector<int64_t> head_shape = {info.vocab, info.hidden};
  Require(source, "embedding", head_shape);  // rows are looked up in the source
  const bool is_tied = source.Find("head") == nullptr;
  Add(source, is_tied ? "embedding" : "head", head_shape, false, false, options, backend);
  for (const SourceTensor& tensor : source.tensors) {
    if (tensor.name.empty() || tensor.name == "embedding" || Find(tensor.name)) continue;
    throw Error(ErrorKind::kUnsupported, source.name + ": tensor " + tensor.source_name +
                                             " is not part of architecture \"" + info.architecture +
                                             "\" with " + std::to_string(info.layers) +
                                             " layers; this variant of the model is not supported");
  }
}

const TensorPlan* WeightPlan::Find(std::string_view name) const {
  // Plans are made in the order of the forward pass; a file has a few hundred tensors.
  const auto at = std::find_if(tensors_.begin(), tensors_.end(),
                               [&](const TensorPlan& plan) { return plan.source->name == name; });
  return at == tensors_.end() ? nullptr : &*at;
}

}  // namespace quantspec
