#include "bench/time_ops.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "bench/cold_weights.h"
#include "bench/peak.h"
#include "cache/draft_policy.h"
#include "cache/kv_cache.h"
#include "decode/generate.h"
#include "engine/memory_plan.h"
#include "engine/model_file.h"
#include "model/head.h"

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
        plan_(file_.source(), MakeWeightOptions(engine.options(), config_.info.layers), *backend_) {
  }

  std::vector<OpTiming> Run(std::span<const int> depths) {
    Reserve(*std::max_element(depths.begin(), depths.end()));
    TimePeaks();
    TimeProducts("attn_qkv", {"layers.0.attn.q", "layers.0.attn.k", "layers.0.attn.v"});
    TimeProducts("attn_output", {"layers.0.attn.o"});
    TimeProducts("ffn_gate_up", {"layers.0.ffn.gate", "layers.0.ffn.up"});
    TimeProducts("ffn_down", {"layers.0.ffn.down"});
    TimeHead();
    for (const int depth : depths) {
      if (depth > 0) TimeAttend(depth);
    }
    TimeSmall();
    return std::move(timings_);
  }

  std::vector<OpTiming> RunAttention(std::span<const int> depths) {
    Reserve(*std::max_element(depths.begin(), depths.end()));
    for (const int depth : depths) TimeAttend(depth);
    return std::move(timings_);
  }

 private:
  const LayerClass& layer() const { return config_.layer(0); }
  KvGeometry geometry() const { return {layer().kv_heads, layer().head_dim}; }

  void Reserve(int depth) {
    ScratchLimits limits;
    limits.rows = std::max<int64_t>(most_rows_, kKvGroup);
    limits.inputs = std::max({config_.info.hidden, layer().ffn, layer().QueryWidth()});
    limits.step_rows = most_rows_;
    limits.sequences = 1;
    limits.positions = depth + 2 * kChunkTokens;
    limits.geometry = geometry();
    limits.q_heads = layer().q_heads;
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
    const Buffer staging(maxima.bytes());
    TimeLinears(
        "head", {plan_.Find("head") ? "head" : "embedding"}, 2,
        [&](std::span<const Linear> linears, Reader reader, ConstRows x, std::span<const Rows> y) {
          MultiplyHead(*backend_, linears[0], reader, x, y[0],
                       Rows(maxima.As<float>(), x.rows, packs), staging.As<float>());
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

  // A cache of random tokens, its policy and its part of a pool.
  struct Filled {
    std::unique_ptr<GroupPool> pool;
    std::unique_ptr<KvCache> cache;
    std::unique_ptr<DraftPolicy> policy;
    std::unique_ptr<DraftPolicy> upper;  // that reads the upper plane of all groups
    int layers = 0;
  };

  // `depth` tokens in as many layers as the model has, memory permitting.
  Filled FillCache(CacheKind kind, int depth) {
    SessionOptions options;
    options.cache = kind;
    SequenceSpec spec =
        MakeSequenceSpec(config_, WeightMode::kAuto, options, depth + 2 * kChunkTokens);
    const SealedBytes group = backend_->SizeOf(geometry(), 1);
    spec.cache.layers = 1;
    const uint64_t of_layer =
        KvCacheBytes(spec.cache, *backend_) +
        static_cast<uint64_t>(SlotsOf(spec.cache)) * (group.upper + group.lower + group.scales);
    Filled filled;
    filled.layers = static_cast<int>(std::clamp<uint64_t>(
        kMostCacheBytes / of_layer, 1, static_cast<uint64_t>(config_.info.layers)));
    spec.cache.layers = filled.layers;
    filled.pool = std::make_unique<GroupPool>(
        GroupPoolSpec{geometry(), filled.layers, SlotsOf(spec.cache)}, *backend_);
    filled.cache = MakeKvCache(spec.cache, *backend_, {filled.pool.get(), nullptr, nullptr});
    filled.policy = MakeDraftPolicy(spec.Policy(), *backend_);
    options.draft.kind = DraftKind::kUpper;
    SequenceSpec upper =
        MakeSequenceSpec(config_, WeightMode::kAuto, options, depth + 2 * kChunkTokens);
    upper.cache.layers = filled.layers;
    filled.upper = MakeDraftPolicy(upper.Policy(), *backend_);
    const Buffer k = RandomRows(kKvGroup, layer().KvWidth());
    const ConstRows values(k.As<float>(), kKvGroup, layer().KvWidth());
    for (int first = 0; first < depth; first += kKvGroup) {
      filled.cache->Extend(kKvGroup);
      for (int index = 0; index < filled.layers; ++index) {
        const KvView view = filled.cache->View(index);
        const DenseSegment& last = view.dense[view.dense_count - 1];
        backend_->StoreKv(values, values, geometry(), last, first - last.first_position);
      }
      filled.cache->Commit(*backend_, RowKind::kPrompt);
    }
    return filled;
  }

  void TimeAttend(int asked) {
    const int depth = std::max(asked / kKvGroup, 1) * kKvGroup;
    Filled sealed = FillCache(CacheKind::kHierarchical, depth);
    TimeAttend("attend target", sealed, Reader::kTarget, kPeakInt8);
    TimeAttend("attend draft", sealed, Reader::kDraft, kPeakInt4);
    sealed.policy.swap(sealed.upper);
    TimeAttend("attend upper", sealed, Reader::kDraft, kPeakInt4);
    const Filled full = FillCache(CacheKind::kFull, depth);
    TimeAttend("attend full", full, Reader::kTarget, kPeakFloat);
  }

  // What `reader` attends over in a layer; after BeginStep.
  AttendRows RowsOf(const Filled& filled, int index, Reader reader, int rows) const {
    AttendRows of_step{0, rows, filled.cache->Committed(), filled.cache->View(index), nullptr};
    if (reader == Reader::kDraft) {
      of_step.kv = filled.policy->View(index, of_step.kv);
    } else {
      of_step.masses = filled.policy->Masses(index);
    }
    return of_step;
  }

  void TimeAttend(const std::string& op, const Filled& filled, Reader reader, const char* peak) {
    const int width = layer().QueryWidth();
    const int depth = filled.cache->Committed();
    const Buffer q = RandomRows(most_rows_, width), out = RandomRows(most_rows_, width);
    for (const int rows : rows_) {
      if (rows > filled.cache->Room()) continue;
      filled.cache->Extend(rows);
      const auto view = [&](int index) { return filled.cache->View(index); };
      filled.policy->BeginStep(*backend_,
                               {reader, depth, rows, depth, view, StepPart::kEndOfPrompt});
      const double us = MedianUs(repeat_, static_cast<size_t>(filled.layers), [&] {
        for (int index = 0; index < filled.layers; ++index) {
          const AttendRows of_step = RowsOf(filled, index, reader, rows);
          AttendArgs args;
          args.geometry = geometry();
          args.q_heads = layer().q_heads;
          args.scale = 1.0f / std::sqrt(static_cast<float>(layer().head_dim));
          args.q = ConstRows(q.As<float>(), rows, width);
          args.out = Rows(out.As<float>(), rows, width);
          args.sequences = {&of_step, 1};
          backend_->Attend(args);
        }
      });
      filled.policy->EndStep();
      const uint64_t bytes = ViewBytes(RowsOf(filled, 0, reader, rows).kv, geometry(), *backend_);
      filled.cache->Truncate(depth);
      Add(op, rows, depth, us, bytes, 4.0 * rows * static_cast<double>(depth) * width, peak);
    }
  }

  void TimeSmall() {
    const int hidden = config_.info.hidden, ffn = layer().ffn;
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

std::vector<OpTiming> TimeAttention(const Engine& engine, std::span<const int> depths, int repeat) {
  CheckAll("depths", depths, 1, 1 << 24);
  constexpr int kOneRow = 1;
  return OpTimer(engine, {&kOneRow, 1}, repeat).RunAttention(depths);
}

}  // namespace quantspec
