#include "model/weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "model/head.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int64_t kChunkRows = 4 * kPackRows;  // rows decoded at a time by one thread

// Loads one tensor; one object per thread keeps its scratch memory.
class RowLoader {
 public:
  RowLoader(const Backend& backend, const TensorPlan& plan, std::byte* arena)
      : backend_(backend), plan_(plan), source_(*plan.source), at_(arena + plan.offset) {}

  // Rows [first, first + rows). False if a value or scale is not finite.
  bool Load(int64_t first, int64_t rows) {
    for (int64_t row = first; row < first + rows; ++row) {
      if (!AllFinite(source_.type, source_.Row(row), source_.columns())) return false;
    }
    const bool needs_floats =
        !plan_.imports_target || (plan_.has_draft_copy && !plan_.imports_draft);
    if (needs_floats) Decode(first, rows);
    std::byte* next = at_;
    Pack(plan_.target, plan_.imports_target, first, rows, next);
    if (plan_.has_draft_copy) Pack(plan_.draft, plan_.imports_draft, first, rows, next);
    return true;
  }

 private:
  void Decode(int64_t first, int64_t rows) {
    floats_.resize(static_cast<size_t>(rows * source_.columns()));
    for (int64_t row = 0; row < rows; ++row) {
      DecodeGgml(source_.type, source_.Row(first + row), source_.columns(),
                 floats_.data() + row * source_.columns());
    }
  }

  void Pack(const WeightSpec& spec, bool imports, int64_t first, int64_t rows, std::byte*& next) {
    const WeightBytes bytes = backend_.SizeOf(spec);
    const PackedWeight weight{spec, next, bytes.lower == 0 ? nullptr : next + bytes.upper};
    next += bytes.upper + bytes.lower;
    const int64_t columns = source_.columns();
    const ConstRows floats{floats_.data(), rows, columns};
    if (spec.group == 0) {
      backend_.PackDense(floats, first, weight);
      return;
    }
    upper_.resize(static_cast<size_t>(rows * columns));
    lower_.resize(upper_.size());
    scales_.resize(upper_.size() / static_cast<size_t>(spec.group));
    if (imports) {
      const auto groups = static_cast<size_t>(columns / spec.group);
      for (int64_t row = 0; row < rows; ++row) {
        const std::byte* blocks = source_.Row(first + row);
        uint8_t* upper = upper_.data() + row * columns;
        GroupScale* scales = scales_.data() + static_cast<size_t>(row) * groups;
        if (spec.format == WeightFormat::kHq8) {
          ImportQ8_0(blocks, columns, upper, lower_.data() + row * columns, scales);
        } else {
          ImportAffine4(source_.type, blocks, columns, upper, scales);
        }
      }
    } else {
      EncodeRows(floats, spec.group, upper_.data(), lower_.data(), scales_.data());
    }
    HqRows packed{rows, columns, spec.group, upper_, {}, scales_};
    if (spec.format == WeightFormat::kHq8) packed.lower = lower_;
    backend_.PackQuantized(packed, first, weight);
  }

  const Backend& backend_;
  const TensorPlan& plan_;
  const SourceTensor& source_;
  std::byte* at_;
  std::vector<float> floats_;
  std::vector<uint8_t> upper_, lower_;
  std::vector<GroupScale> scales_;
};

[[noreturn]] void RefuseNotFinite(const TensorSource& source, const SourceTensor& tensor) {
  throw Error(ErrorKind::kCorrupt, source.name() + ": tensor " + tensor.name +
                                       " holds a value or scale that is not finite (NaN or "
                                       "infinity); the file is damaged");
}

void LoadVector(const TensorSource& source, const TensorPlan& plan, std::byte* arena) {
  const SourceTensor& tensor = *plan.source;
  if (!AllFinite(tensor.type, tensor.data, tensor.columns())) RefuseNotFinite(source, tensor);
  DecodeGgml(tensor.type, tensor.data, tensor.columns(),
             reinterpret_cast<float*>(arena + plan.offset));
}

void LoadLinear(const TensorSource& source, const TensorPlan& plan, const Backend& backend,
                ThreadPool& pool, std::byte* arena) {
  const int64_t rows = plan.source->rows();
  std::atomic<int64_t> next{0};
  std::atomic<bool> is_finite{true};
  pool.Run([&](int) {
    RowLoader loader(backend, plan, arena);
    for (int64_t first = next.fetch_add(kChunkRows); first < rows && is_finite;
         first = next.fetch_add(kChunkRows)) {
      if (!loader.Load(first, std::min(kChunkRows, rows - first))) is_finite = false;
    }
  });
  if (!is_finite) RefuseNotFinite(source, *plan.source);
}

}  // namespace

Product ProductOf(const Linear& linear, Reader reader, Rows y, Accumulate accumulate) {
  Product product;
  product.weight = reader == Reader::kTarget ? &linear.target : &linear.draft;
  product.planes = reader == Reader::kTarget ? Planes::kBoth : linear.draft_planes;
  product.bias = linear.bias;
  product.y = y;
  product.accumulate = accumulate;
  return product;
}

uint64_t LinearBytes(const Backend& backend, const Linear& linear, Reader reader) {
  const Product product = ProductOf(linear, reader, {});
  const WeightBytes bytes = backend.SizeOf(product.weight->spec);
  const uint64_t whole = bytes.upper + (product.planes == Planes::kBoth ? bytes.lower : 0);
  if (reader == Reader::kTarget || !linear.is_refined) return whole;
  const int64_t packs = CeilDiv(linear.target.spec.outputs, kPackRows);
  const uint64_t target = LinearBytes(backend, linear, Reader::kTarget);
  return whole + target * static_cast<uint64_t>(std::min<int64_t>(kRefinedPacks, packs)) /
                     static_cast<uint64_t>(packs);
}

Model::Model(const TensorSource& source, ModelConfig config, const WeightOptions& options,
             const Backend& backend, ThreadPool& pool, const std::function<bool(double)>& done)
    : config_(std::move(config)) {
  const WeightPlan plan(source, config_, options, backend);
  arena_ = Buffer(plan.bytes());
  uint64_t loaded = 0;
  for (const TensorPlan& tensor : plan.tensors()) {
    if (tensor.is_linear) {
      LoadLinear(source, tensor, backend, pool, arena_.data());
    } else {
      LoadVector(source, tensor, arena_.data());
    }
    loaded += tensor.bytes;
    if (done && !done(static_cast<double>(loaded) / static_cast<double>(plan.bytes()))) {
      throw Error(ErrorKind::kUsage, "loading was interrupted");
    }
  }
  const SourceTensor& embedding = *source.Find("token_embd.weight");
  embedding_ = {embedding.type, embedding.data, embedding.rows(), embedding.columns()};
  for (int layer = 0; layer < config_.info.layers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    LayerWeights weights;
    weights.attn_norm = Vector(plan, prefix + "attn_norm.weight");
    weights.q_norm = Vector(plan, prefix + "attn_q_norm.weight");
    weights.k_norm = Vector(plan, prefix + "attn_k_norm.weight");
    weights.ffn_norm = Vector(plan, prefix + "ffn_norm.weight");
    weights.q = MakeLinear(plan, backend, prefix + "attn_q");
    weights.k = MakeLinear(plan, backend, prefix + "attn_k");
    weights.v = MakeLinear(plan, backend, prefix + "attn_v");
    weights.o = MakeLinear(plan, backend, prefix + "attn_output");
    weights.gate = MakeLinear(plan, backend, prefix + "ffn_gate");
    weights.up = MakeLinear(plan, backend, prefix + "ffn_up");
    weights.down = MakeLinear(plan, backend, prefix + "ffn_down");
    layers_.push_back(weights);
  }
  output_norm_ = Vector(plan, "output_norm.weight");
  head_ = MakeLinear(plan, backend, plan.Find("output.weight") ? "output" : "token_embd");
}

const float* Model::Vector(const WeightPlan& plan, const std::string& name) const {
  const TensorPlan* tensor = plan.Find(name);
  if (tensor == nullptr) return nullptr;
  return reinterpret_cast<const float*>(arena_.data() + tensor->offset);
}

Linear Model::MakeLinear(const WeightPlan& plan, const Backend& backend,
                         const std::string& name) const {
  const TensorPlan& tensor = *plan.Find(name + ".weight");
  const auto view = [&](const WeightSpec& spec, size_t offset) {
    const WeightBytes bytes = backend.SizeOf(spec);
    std::byte* upper = arena_.data() + offset;
    return PackedWeight{spec, upper, bytes.lower == 0 ? nullptr : upper + bytes.upper};
  };
  Linear linear;
  linear.target = view(tensor.target, tensor.offset);
  linear.draft = linear.target;
  linear.draft_planes = tensor.draft_planes;
  linear.is_refined = tensor.is_refined;
  if (tensor.has_draft_copy) {
    const WeightBytes target = backend.SizeOf(tensor.target);
    linear.draft = view(tensor.draft, tensor.offset + target.upper + target.lower);
  }
  linear.bias = Vector(plan, name + ".bias");
  return linear;
}

uint64_t Model::ReadBytes(const Backend& backend, Reader reader) const {
  uint64_t bytes = LinearBytes(backend, head_, reader);
  for (const LayerWeights& layer : layers_) {
    for (const Linear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      bytes += LinearBytes(backend, *linear, reader);
    }
  }
  return bytes;
}

void ReadRopeDivisors(const TensorSource& source, ModelConfig& config) {
  const SourceTensor* tensor = source.Find("rope_freqs.weight");
  if (tensor == nullptr) return;
  const int64_t pairs = config.rope.rotated / 2;
  if (tensor->shape.size() != 1 || tensor->columns() != pairs) {
    throw Error(ErrorKind::kCorrupt, source.name() + ": tensor rope_freqs.weight: found " +
                                         std::to_string(tensor->columns()) + " values, expected " +
                                         std::to_string(pairs));
  }
  config.rope.divisors.resize(static_cast<size_t>(pairs));
  DecodeGgml(tensor->type, tensor->data, pairs, config.rope.divisors.data());
  for (const float divisor : config.rope.divisors) {
    if (std::isfinite(divisor) && divisor > 0) continue;
    RefuseNotFinite(source, *tensor);
  }
}

}  // namespace quantspec
