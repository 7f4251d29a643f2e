#include "model/weights.h"

#include <algorithm>
#include <atomic>

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

  void Load(int64_t first, int64_t rows) {
    const bool needs_floats =
        !plan_.imports_target || (plan_.has_draft_copy && !plan_.imports_draft);
    if (needs_floats) {
      floats_.resize(static_cast<size_t>(rows * source_.columns()));
      source_.reader->Decode(first, Rows(floats_.data(), rows, source_.columns()));
    }
    std::byte* next = at_;
    Pack(plan_.target, plan_.imports_target, first, rows, next);
    if (plan_.has_draft_copy) Pack(plan_.draft, plan_.imports_draft, first, rows, next);
  }

 private:
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
      source_.reader->Import(first, rows, upper_.data(), lower_.data(), scales_.data());
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

void LoadVector(const TensorPlan& plan, float scale, const Backend& backend, std::byte* arena) {
  std::vector<float> values(static_cast<size_t>(plan.source->columns()));
  plan.source->reader->Decode(0, Rows(values.data(), 1, plan.source->columns()));
  for (float& value : values) value *= scale;
  backend.Upload(values.data(), values.size() * sizeof(float), arena + plan.offset);
}

void LoadLinear(const TensorPlan& plan, const Backend& backend, ThreadPool& pool,
                std::byte* arena) {
  const int64_t rows = plan.source->rows();
  std::atomic<int64_t> next{0};
  pool.Run([&](int) {
    try {
      RowLoader loader(backend, plan, arena);
      for (int64_t first = next.fetch_add(kChunkRows); first < rows;
           first = next.fetch_add(kChunkRows)) {
        loader.Load(first, std::min(kChunkRows, rows - first));
      }
    } catch (...) {
      next = rows;  // the others need not go on
      throw;
    }
  });
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

Model::Model(const LoadedModel& source, const WeightOptions& options, const Backend& backend,
             ThreadPool& pool, const std::function<bool(double)>& done)
    : config_(source.config) {
  const WeightPlan plan(source, options, backend);
  embedding_ = source.Find("embedding")->reader;
  arena_ = backend.Allocate(plan.bytes());
  uint64_t loaded = 0;
  for (const TensorPlan& tensor : plan.tensors()) {
    if (tensor.is_linear) {
      LoadLinear(tensor, backend, pool, arena_.data());
    } else {
      const bool is_last_norm = tensor.source->name == "final_norm";
      LoadVector(tensor, is_last_norm ? config_.logit_scale : 1.0f, backend, arena_.data());
    }
    loaded += tensor.bytes;
    if (done && !done(static_cast<double>(loaded) / static_cast<double>(plan.bytes()))) {
      throw Error(ErrorKind::kUsage, "loading was interrupted");
    }
  }
  for (int layer = 0; layer < config_.info.layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".";
    LayerWeights weights;
    weights.attn_norm = Vector(plan, prefix + "attn_norm");
    weights.q_norm = Vector(plan, prefix + "attn.q_norm");
    weights.k_norm = Vector(plan, prefix + "attn.k_norm");
    weights.attn_post_norm = Vector(plan, prefix + "attn_post_norm");
    weights.ffn_norm = Vector(plan, prefix + "ffn_norm");
    weights.ffn_post_norm = Vector(plan, prefix + "ffn_post_norm");
    weights.q = MakeLinear(plan, backend, prefix + "attn.q");
    weights.k = MakeLinear(plan, backend, prefix + "attn.k");
    weights.v = MakeLinear(plan, backend, prefix + "attn.v");
    weights.o = MakeLinear(plan, backend, prefix + "attn.o");
    weights.gate = MakeLinear(plan, backend, prefix + "ffn.gate");
    weights.up = MakeLinear(plan, backend, prefix + "ffn.up");
    weights.down = MakeLinear(plan, backend, prefix + "ffn.down");
    layers_.push_back(weights);
  }
  output_norm_ = Vector(plan, "final_norm");
  head_ = MakeLinear(plan, backend, plan.Find("head") ? "head" : "embedding");
}

void Model::Embed(std::span<const Token> tokens, Rows out) const {
  for (size_t i = 0; i < tokens.size(); ++i) {
    embedding_->Decode(tokens[i], out.Rows(static_cast<int64_t>(i), 1));
  }
}

const float* Model::Vector(const WeightPlan& plan, const std::string& name) const {
  const TensorPlan* tensor = plan.Find(name);
  if (tensor == nullptr) return nullptr;
  return reinterpret_cast<const float*>(arena_.data() + tensor->offset);
}

Linear Model::MakeLinear(const WeightPlan& plan, const Backend& backend,
                         const std::string& name) const {
  const TensorPlan& tensor = *plan.Find(name);
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

}  // namespace quantspec
