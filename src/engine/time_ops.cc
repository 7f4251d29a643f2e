// TimeOps: single operations over random data, with the shapes and formats of a model.
#include <algorithm>
#include <array>
#include <cmath>

#include "decode/speculative.h"
#include "engine/cold_weights.h"
#include "engine/model_file.h"
#include "kernels/peak.h"
#include "model/head.h"
#include "quantspec/engine.h"

namespace quantspec {
namespace {

// Weights are cold if one run streams through more than a last-level cache holds.
constexpr size_t kColdBytes = size_t{256} << 20;
constexpr size_t kMostCacheBytes = size_t{1} << 30;
constexpr size_t kMostLinears = 3;  // that share an input
constexpr char kPeakInt4[] = "peak int4";
constexpr char kPeakInt8[] = "peak int8";
constexpr char kPeakFloat[] = "peak float";
constexpr char kPeakBf16[] = "peak bf16";

// The median over `repeat` runs of `run`, which makes `calls` calls: microseconds of one.
template <typename Run>
double MedianUs(int repeat, size_t calls, const Run& run) {
  std::vector<double> seconds(static_cast<size_t>(std::max(repeat, 1)));
  run();  // warms the threads up
  for (double& of_run : seconds) {
    const double start = SteadySeconds();
    run();
    of_run = SteadySeconds() - start;
  }
  const auto middle = seconds.begin() + static_cast<int64_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle * 1e6 / static_cast<double>(calls);
}

class OpTimer {
 public:
  OpTimer(const Engine& engine, std::span<const int> rows, int repeat)
      : file_(dynamic_cast<const ModelFileImpl&>(engine.file())),
        config_(file_.config()),
        rows_(rows),
        repeat_(repeat),
        most_rows_(*std::max_element(rows.begin(), rows.end())),
        pool_(engine.threads()),
        backend_(MakeBackend(engine.options().backend, pool_)),
        plan_(file_.source(), config_, MakeWeightOptions(engine.options(), config_.info.layers),
              *backend_) {}

  std::vector<OpTiming> Run(std::span<const int> depths) {
    Reserve(*std::max_element(depths.begin(), depths.end()));
    TimePeaks();
    TimeProducts("attn_qkv", {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"});
    TimeProducts("attn_output", {"blk.0.attn_output.weight"});
    TimeProducts("ffn_gate_up", {"blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"});
    TimeProducts("ffn_down", {"blk.0.ffn_down.weight"});
    TimeHead();
    for (const int depth : depths) {
      if (depth > 0) TimeAttend(depth);
    }
    TimeSmall();
    return std::move(timings_);
  }

 private:
  KvGeometry geometry() const { return {config_.info.kv_heads, config_.info.head_dim}; }

  void Reserve(int depth) {
    ScratchLimits limits;
    limits.rows = std::max<int64_t>(most_rows_, kKvGroup);
    limits.inputs = std::max({config_.info.hidden, config_.info.ffn, config_.QueryWidth()});
    limits.positions = depth + kKvGroup + most_rows_;
    limits.geometry = geometry();
    limits.q_heads = config_.info.q_heads;
    limits.fine_rows = most_rows_;
    backend_->Reserve(limits);
  }

  void Add(std::string op, int rows, int depth, double us, uint64_t bytes, double operations,
           const char* peak = "") {
    timings_.push_back({std::move(op), rows, depth, us, bytes, operations, peak});
  }

  void TimePeaks() {
    if (file_.options().backend != BackendKind::kCpu) return;
    const Peaks peaks = MeasurePeaks(pool_, backend_->isa());
    const auto add = [&](const char* name, const PeakRate& rate) {
      if (rate.operations > 0) Add(name, 0, 0, rate.us, 0, rate.operations);
    };
    add(kPeakInt4, peaks.int4);
    add(kPeakInt8, peaks.int8);
    add(kPeakFloat, peaks.f32);
    add(kPeakBf16, peaks.bf16);
    if (peaks.bf16.operations > 0) bf16_peak_ = kPeakBf16;
  }

  // Linear layers that share an input, as the forward pass calls them, for both readers.
  template <typename Multiply>
  void TimeLinears(const std::string& name, const std::vector<const char*>& tensors,
                   int input_planes, const Multiply& multiply) {
    std::vector<const TensorPlan*> plans;
    for (const char* tensor : tensors) {
      plans.push_back(plan_.Find(tensor));
      if (plans.back() == nullptr) return;
    }
    for (const Reader reader : {Reader::kTarget, Reader::kDraft}) {
      const bool is_target = reader == Reader::kTarget;
      TimeReader("matmul " + name + (is_target ? " target" : " draft"), plans, reader, input_planes,
                 multiply);
    }
  }

  void TimeProducts(const std::string& name, const std::vector<const char*>& tensors) {
    TimeLinears(
        name, tensors, 1,
        [&](std::span<const Linear> linears, Reader reader, ConstRows x, std::span<const Rows> y) {
          std::array<Product, kMostLinears> products;
          for (size_t i = 0; i < linears.size(); ++i) {
            products[i] = ProductOf(linears[i], reader, y[i]);
          }
          backend_->MatMul(x, std::span(products).first(linears.size()));
        });
  }

  void TimeHead() {
    const int64_t packs = CeilDiv(config_.info.vocab, kPackRows);
    const Buffer maxima(sizeof(float) * static_cast<size_t>(most_rows_ * packs));
    TimeLinears(
        "head", {plan_.Find("output.weight") ? "output.weight" : "token_embd.weight"}, 2,
        [&](std::span<const Linear> linears, Reader reader, ConstRows x, std::span<const Rows> y) {
          MultiplyHead(*backend_, linears[0], reader, x, y[0],
                       Rows(maxima.As<float>(), x.rows, packs));
        });
  }

  // Operations of one row, and the peak that bounds them.
  double OperationsOf(const std::vector<const TensorPlan*>& plans, Reader reader, int input_planes,
                      const char** peak) const {
    double operations = 0;
    *peak = kPeakInt4;
    for (const TensorPlan* plan : plans) {
      const bool is_draft = reader == Reader::kDraft;
      const WeightSpec& spec = plan->SpecOf(reader);
      const bool both = !is_draft || plan->draft_planes == Planes::kBoth;
      const bool is_dense = spec.group == 0;
      if (is_dense) {
        *peak = spec.format == WeightFormat::kBf16 ? bf16_peak_ : kPeakFloat;
      } else if (spec.format == WeightFormat::kHq8 && both) {
        *peak = kPeakInt8;
      }
      const bool is_coarse = is_dense || (is_draft && plan->is_refined);
      operations += 2.0 * static_cast<double>(spec.outputs) * static_cast<double>(spec.inputs) *
                    (is_coarse ? 1 : input_planes);
    }
    return operations;
  }

  template <typename Multiply>
  void TimeReader(const std::string& op, const std::vector<const TensorPlan*>& plans, Reader reader,
                  int input_planes, const Multiply& multiply) {
    uint64_t stored = 0;
    for (const TensorPlan* plan : plans) {
      const WeightBytes of_weight = backend_->SizeOf(plan->SpecOf(reader));
      stored += of_weight.upper + of_weight.lower;
    }
    const auto copies = static_cast<size_t>(kColdBytes / stored + 1);
    std::vector<ColdLinear> cold;
    std::vector<Buffer> outputs;
    uint64_t bytes = 0;
    for (const TensorPlan* plan : plans) {
      cold.emplace_back(*plan, reader, copies, *backend_);
      outputs.push_back(RandomRows(most_rows_, plan->target.outputs));
      bytes += LinearBytes(*backend_, cold.back().at(0), reader);
    }
    const char* peak = nullptr;
    const double operations = OperationsOf(plans, reader, input_planes, &peak);
    const int64_t inputs = plans.front()->target.inputs;
    const Buffer input = RandomRows(most_rows_, inputs);
    std::vector<Linear> linears(plans.size());
    std::vector<Rows> y(plans.size());
    for (const int rows : rows_) {
      for (size_t i = 0; i < plans.size(); ++i) {
        y[i] = Rows(outputs[i].As<float>(), rows, plans[i]->target.outputs);
      }
      const double us = MedianUs(repeat_, copies, [&] {
        for (size_t copy = 0; copy < copies; ++copy) {
          for (size_t i = 0; i < plans.size(); ++i) linears[i] = cold[i].at(copy);
          multiply(linears, reader, ConstRows(input.As<float>(), rows, inputs), y);
        }
      });
      Add(op, rows, 0, us, bytes, rows * operations, peak);
    }
  }

  // A cache of `depth` random tokens in as many layers as the model has, memory permitting.
  std::unique_ptr<KvCache> FilledCache(CacheKind kind, int depth, int* layers) {
    SessionOptions options;
    options.cache = kind;
    KvCacheSpec spec = MakeCacheSpec(config_, WeightMode::kAuto, options, depth + kKvGroup);
    spec.layers = 1;
    const uint64_t of_layer = KvCacheBytes(spec, *backend_);
    spec.layers = static_cast<int>(std::clamp<uint64_t>(
        kMostCacheBytes / of_layer, 1, static_cast<uint64_t>(config_.info.layers)));
    *layers = spec.layers;
    auto cache = MakeKvCache(spec, *backend_);
    const Buffer k = RandomRows(kKvGroup, config_.KvWidth());
    const ConstRows values(k.As<float>(), kKvGroup, config_.KvWidth());
    for (int layer = 0; layer < spec.layers; ++layer) {
      DenseSegment prompt = cache->PromptSegment(layer, depth);
      for (int first = 0; first < depth; first += kKvGroup) {
        const ConstRows part = values.Rows(0, std::min(kKvGroup, depth - first));
        prompt.rows = first + part.rows;
        backend_->StoreKv(part, part, spec.geometry, prompt, first);
      }
      cache->TakePrompt(*backend_, layer, depth);
    }
    cache->EndPrompt(depth);
    return cache;
  }

  void TimeAttend(int asked) {
    // After a whole group there is room for any number of rows before the next seal.
    const int depth = std::max(asked / kKvGroup, 1) * kKvGroup;
    int layers = 0;
    const auto sealed = FilledCache(CacheKind::kHierarchical, depth, &layers);
    TimeAttend("attend target", *sealed, layers, Reader::kTarget, kPeakInt8);
    TimeAttend("attend draft", *sealed, layers, Reader::kDraft, kPeakInt4);
    const auto full = FilledCache(CacheKind::kFull, depth, &layers);
    TimeAttend("attend full", *full, layers, Reader::kTarget, kPeakFloat);
  }

  void TimeAttend(const std::string& op, KvCache& cache, int layers, Reader reader,
                  const char* peak) {
    const int width = config_.QueryWidth();
    const int depth = cache.Length();
    const Buffer q = RandomRows(most_rows_, width), out = RandomRows(most_rows_, width);
    const Buffer kv = RandomRows(most_rows_, config_.KvWidth());
    for (const int rows : rows_) {
      if (rows > cache.Room()) continue;
      const uint64_t bytes = cache.ReadBytes(*backend_, reader) / static_cast<uint64_t>(layers);
      cache.Extend(rows);
      const ConstRows own(kv.As<float>(), rows, config_.KvWidth());
      const double us = MedianUs(repeat_, static_cast<size_t>(layers), [&] {
        for (int layer = 0; layer < layers; ++layer) {
          AttendArgs args;
          args.q = ConstRows(q.As<float>(), rows, width);
          args.k = args.v = own;
          args.kv = cache.View(layer, reader);
          args.first_position = depth;
          args.q_heads = config_.info.q_heads;
          args.scale = 1.0f / std::sqrt(static_cast<float>(config_.info.head_dim));
          args.out = Rows(out.As<float>(), rows, width);
          backend_->Attend(args);
        }
      });
      cache.Truncate(depth);
      Add(op, rows, depth, us, bytes, 4.0 * rows * static_cast<double>(depth) * width, peak);
    }
  }

  void TimeSmall() {
    const int hidden = config_.info.hidden, ffn = config_.info.ffn;
    const Buffer x = RandomRows(most_rows_, hidden), norm = RandomRows(1, hidden);
    const Buffer gate = RandomRows(most_rows_, ffn), up = RandomRows(most_rows_, ffn);
    const Buffer normed = RandomRows(most_rows_, hidden), gated = RandomRows(most_rows_, ffn);
    constexpr size_t kCalls = 64;
    for (const int rows : rows_) {
      const auto values = static_cast<double>(rows);
      const double norm_us = MedianUs(repeat_, kCalls, [&] {
        for (size_t call = 0; call < kCalls; ++call) {
          backend_->RmsNorm(ConstRows(x.As<float>(), rows, hidden), norm.As<float>(), 1e-5f,
                            Rows(normed.As<float>(), rows, hidden));
        }
      });
      Add("rms_norm", rows, 0, norm_us, sizeof(float) * static_cast<uint64_t>(rows * hidden),
          4.0 * values * hidden);
      const double gate_us = MedianUs(repeat_, kCalls, [&] {
        for (size_t call = 0; call < kCalls; ++call) {
          backend_->GatedActivation(ConstRows(gate.As<float>(), rows, ffn),
                                    ConstRows(up.As<float>(), rows, ffn),
                                    Rows(gated.As<float>(), rows, ffn));
        }
      });
      Add("gated_activation", rows, 0, gate_us,
          2 * sizeof(float) * static_cast<uint64_t>(rows * ffn), 4.0 * values * ffn);
    }
  }

  const ModelFileImpl& file_;
  const ModelConfig& config_;
  std::span<const int> rows_;
  int repeat_;
  int most_rows_;
  ThreadPool pool_;
  std::unique_ptr<Backend> backend_;
  WeightPlan plan_;
  const char* bf16_peak_ = kPeakFloat;  // that bounds products of bf16 weights
  std::vector<OpTiming> timings_;
};

void CheckAll(const char* name, std::span<const int> values, int low, int high) {
  for (const int value : values) {
    if (value >= low && value <= high) continue;
    throw Error(ErrorKind::kUsage, std::string(name) + ": found " + std::to_string(value) +
                                       ", expected " + std::to_string(low) + " to " +
                                       std::to_string(high));
  }
  if (values.empty()) throw Error(ErrorKind::kUsage, std::string(name) + ": found none");
}

}  // namespace

std::vector<OpTiming> TimeOps(const Engine& engine, std::span<const int> rows,
                              std::span<const int> depths, int repeat) {
  CheckAll("rows", rows, 1, kKvGroup);
  CheckAll("depths", depths, 0, 1 << 24);
  return OpTimer(engine, rows, repeat).Run(depths);
}

}  // namespace quantspec
