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

// The storage table of docs/architecture.md: source type and mode decide.
void PlanLinear(const WeightOptions& options, bool is_head, bool is_exact_in_draft,
                TensorPlan& plan) {
  const SourceTensor& source = *plan.source;
  const bool is_affine4 = FindGgmlType(static_cast<uint32_t>(source.type))->is_affine4;
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
      plan.imports_draft = is_affine4;
      plan.draft = SpecFor(WeightFormat::kHq4, source, is_affine4 ? 32 : group);
      plan.is_refined = is_head;
      return;
    case WeightMode::kAuto:
      if (is_affine4) {
        plan.target = SpecFor(WeightFormat::kHq4, source, 32);
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
      // Q8_0's own codes lose nothing, but their range is symmetric, which costs a reader of the
      // upper plane alone one level in nine; a refined head can bear that.
      plan.imports_target =
          (is_head || is_exact_in_draft) && source.type == GgmlType::kQ8_0 && group == 32;
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
std::vector<LayerTensor> TensorsOfLayer(const ModelConfig& config) {
  const int64_t hidden = config.info.hidden, ffn = config.info.ffn;
  const int64_t head_dim = config.info.head_dim;
  const int64_t q = config.QueryWidth(), kv = config.KvWidth();
  std::vector<LayerTensor> tensors = {
      {"attn_norm.weight", {hidden}, false},
      {"attn_q.weight", {q, hidden}, false},
      {"attn_q.bias", {q}, true},
      {"attn_k.weight", {kv, hidden}, false},
      {"attn_k.bias", {kv}, true},
      {"attn_v.weight", {kv, hidden}, false},
      {"attn_v.bias", {kv}, true},
      {"attn_output.weight", {hidden, q}, false},
      {"attn_output.bias", {hidden}, true},
      {"ffn_norm.weight", {hidden}, false},
      {"ffn_gate.weight", {ffn, hidden}, false},
      {"ffn_gate.bias", {ffn}, true},
      {"ffn_up.weight", {ffn, hidden}, false},
      {"ffn_up.bias", {ffn}, true},
      {"ffn_down.weight", {hidden, ffn}, false},
      {"ffn_down.bias", {hidden}, true},
  };
  if (config.has_qk_norm) {
    tensors.push_back({"attn_q_norm.weight", {head_dim}, false});
    tensors.push_back({"attn_k_norm.weight", {head_dim}, false});
  }
  return tensors;
}

// Tensors that may stand in a file without being weights of the forward pass.
bool IsHarmless(std::string_view name) {
  return name == "rope_freqs.weight" || name.ends_with(".rope_freqs.weight") ||
         name.ends_with(".attn_rot_embd.weight") ||
         name.ends_with(".attention.rotary_emb.inv_freq");
}

}  // namespace

std::string TensorPlan::StoredType() const {
  if (!is_linear) return "f32";
  return SpecText(target) + (has_draft_copy ? " + " + SpecText(draft) : "");
}

void WeightPlan::Add(const TensorSource& source, const std::string& name,
                     std::vector<int64_t> shape, bool is_optional, bool is_exact_in_draft,
                     const WeightOptions& options, const Backend& backend) {
  TensorPlan plan;
  plan.source = source.Find(name);
  if (plan.source == nullptr) {
    if (is_optional) return;
    throw Error(ErrorKind::kCorrupt, source.name() + ": tensor " + name + " is missing, expected " +
                                         ShapeText(shape) + "; the file is damaged or incomplete");
  }
  if (plan.source->shape != shape) {
    throw Error(ErrorKind::kCorrupt, source.name() + ": tensor " + name + ": found shape " +
                                         ShapeText(plan.source->shape) + ", expected " +
                                         ShapeText(shape) +
                                         "; the metadata and the tensors differ");
  }
  plan.is_linear = shape.size() == 2;
  plan.offset = bytes_;
  if (plan.is_linear) {
    const bool is_head = name == "output.weight" || name == "token_embd.weight";
    PlanLinear(options, is_head, is_exact_in_draft, plan);
    plan.bytes = TotalBytes(backend.SizeOf(plan.target));
    if (plan.has_draft_copy) plan.bytes += TotalBytes(backend.SizeOf(plan.draft));
  } else {
    plan.bytes = static_cast<size_t>(RoundUp(shape[0] * static_cast<int64_t>(sizeof(float)), 64));
  }
  bytes_ += plan.bytes;
  tensors_.push_back(plan);
}

WeightPlan::WeightPlan(const TensorSource& source, const ModelConfig& config,
                       const WeightOptions& options, const Backend& backend) {
  const ModelInfo& info = config.info;
  const std::vector<LayerTensor> of_layer = TensorsOfLayer(config);
  for (int layer = 0; layer < info.layers; ++layer) {
    const bool is_exact = layer >= info.layers - options.draft_exact_layers;
    for (const LayerTensor& tensor : of_layer) {
      Add(source, "blk." + std::to_string(layer) + "." + tensor.name, tensor.shape,
          tensor.is_optional, is_exact, options, backend);
    }
  }
  Add(source, "output_norm.weight", {info.hidden}, false, true, options, backend);
  const bool is_tied = source.Find("output.weight") == nullptr;
  Add(source, is_tied ? "token_embd.weight" : "output.weight", {info.vocab, info.hidden}, false,
      false, options, backend);
  for (const SourceTensor& tensor : source.tensors()) {
    if (tensor.name == "token_embd.weight" || IsHarmless(tensor.name)) continue;
    if (Find(tensor.name) != nullptr) continue;
    throw Error(ErrorKind::kUnsupported, source.name() + ": tensor " + tensor.name +
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
