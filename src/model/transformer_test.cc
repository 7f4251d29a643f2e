// The forward pass over small random models: rows of several sequences in one step, prompts in
// pieces, readers, and a backend whose memory nobody else may touch.
#include "model/transformer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "formats/random_model.h"
#include "kernels/reference/opaque_backend.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int kContext = 1024;

ModelConfig SmallConfig() {
  LayerClass layer;
  layer.rope.rotated = 64;
  return UniformConfig({"small", "llama", 2, 128, 256, 4, 2, 64, 160, kContext}, layer);
}

// Its first layer sees 100 tokens.
LoadedModel ModelWithWindow() {
  const ModelConfig small = SmallConfig();
  LayerClass windowed = small.layer(0);
  windowed.window = 100;
  return RandomModel(LayeredConfig(small.info, {windowed, small.layer(1)}));
}

enum class Kind { kCpu, kReference, kOpaque };

struct Machine {
  explicit Machine(WeightMode mode, Kind backend_kind = Kind::kCpu, int draft_exact_layers = 0,
                   int threads = 2, const LoadedModel* of = nullptr)
      : source(of != nullptr ? *of : RandomModel(SmallConfig())),
        threads_pool(threads),
        kind(backend_kind) {
    WeightOptions options;
    options.mode = mode;
    options.draft_exact_layers = draft_exact_layers;
    packer = NewBackend();
    model = std::make_unique<Model>(source, options, *packer, threads_pool,
                                    std::function<bool(double)>{});
    transformer = std::make_unique<Transformer>(*model, NewBackend(),
                                                TransformerLimits{kContext, 3 * kContext, 3, 40});
    const int pooled = source.config.Windows().empty() ? 2 : 1;
    groups = std::make_unique<GroupPool>(GroupPoolSpec{{2, 64}, pooled, 3 * kContext / kKvGroup},
                                         backend());
  }
  std::unique_ptr<Backend> NewBackend() {
    if (kind == Kind::kOpaque) return MakeOpaqueBackend();
    return kind == Kind::kReference ? MakeReferenceBackend() : MakeCpuBackend(threads_pool);
  }
  Backend& backend() { return transformer->backend(); }

  LoadedModel source;
  ThreadPool threads_pool;
  Kind kind;
  std::unique_ptr<Backend> packer;
  std::unique_ptr<Model> model;
  std::unique_ptr<Transformer> transformer;
  std::unique_ptr<GroupPool> groups;
};

std::vector<Token> SomeTokens(int count, int salt) {
  std::vector<Token> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + salt * 11 + i * i) % 160);
  return tokens;
}

std::vector<float> Copy(ConstRows rows) {
  return {rows.data, rows.data + rows.rows * rows.columns};
}

// One sequence of a machine.
struct Line {
  explicit Line(Machine& of, CacheKind kind = CacheKind::kHierarchical)
      : machine(of), rows(128, of.backend()) {
    KvCacheSpec spec;
    spec.kind = kind;
    spec.geometry = {2, 64};
    spec.layers = 2;
    spec.context = kContext;
    spec.windows = of.source.config.Windows();
    cache = MakeKvCache(spec, of.backend(), {of.groups.get(), nullptr, nullptr});
    DraftPolicySpec drafts;
    drafts.geometry = spec.geometry;
    drafts.layers = spec.FullLayers();
    drafts.context = kContext;
    drafts.draft.budget_tokens = 128;
    policy = MakeDraftPolicy(drafts, of.backend());
  }

  // Reads a prompt in slices of at most `slice` rows; returns the logits of its last token.
  std::vector<float> Prompt(std::span<const Token> prompt, int slice = kChunkTokens) {
    Transformer& transformer = *machine.transformer;
    cache->StartPrompt(machine.backend());
    policy->Forget();
    std::vector<float> logits;
    while (!prompt.empty()) {
      const auto count = std::min(prompt.size(), static_cast<size_t>(cache->PromptRoom()));
      transformer.StartPrompt(RowsOf(prompt.first(count)), count == prompt.size(), rows);
      while (!transformer.AdvancePrompt(slice, rows)) {
      }
      prompt = prompt.subspan(count);
      if (prompt.empty()) logits = Copy(transformer.PromptLogits(rows));
      cache->Commit(machine.backend(), RowKind::kPrompt);
      transformer.EndPrompt(rows);
    }
    return logits;
  }
  std::vector<float> Step(Reader reader, std::span<const Token> tokens) {
    const StepRows step = RowsOf(tokens);
    return Copy(machine.transformer->Step(reader, {&step, 1}));
  }
  // One at a time, all committed.
  std::vector<float> StepSingly(std::span<const Token> tokens) {
    std::vector<float> all;
    for (const Token& token : tokens) {
      const std::vector<float> logits = Step(Reader::kTarget, {&token, 1});
      all.insert(all.end(), logits.begin(), logits.end());
      cache->Commit(machine.backend(), RowKind::kDecode);
    }
    return all;
  }
  StepRows RowsOf(std::span<const Token> tokens) { return {cache.get(), policy.get(), tokens}; }
  uint64_t DigestValue() const {
    Digest digest;
    cache->AddTo(digest, machine.backend());
    return digest.value();
  }

  Machine& machine;
  PromptRows rows;
  std::unique_ptr<KvCache> cache;
  std::unique_ptr<DraftPolicy> policy;
};

TEST(Transformer, RowsOfSeveralSequencesInOneStepGiveTheBitsOfEachAlone) {
  for (const WeightMode mode : {WeightMode::kAuto, WeightMode::kNested, WeightMode::kBf16}) {
    for (const Reader reader : {Reader::kTarget, Reader::kDraft}) {
      Machine machine(mode);
      const auto run = [&](bool together) {
        Line a(machine), b(machine), c(machine);
        a.Prompt(SomeTokens(700, 1));
        b.Prompt(SomeTokens(41, 2));
        c.Prompt(SomeTokens(256, 5));
        const auto a_tokens = SomeTokens(5, 3), b_tokens = SomeTokens(7, 4),
                   c_tokens = SomeTokens(1, 6);
        const StepRows rows[] = {a.RowsOf(a_tokens), b.RowsOf(b_tokens), c.RowsOf(c_tokens)};
        if (together) return Copy(machine.transformer->Step(reader, rows));
        std::vector<float> logits;
        for (const StepRows& one : rows) {
          const std::vector<float> more = Copy(machine.transformer->Step(reader, {&one, 1}));
          logits.insert(logits.end(), more.begin(), more.end());
        }
        return logits;
      };
      EXPECT_EQ(run(true), run(false));
    }
  }
}

TEST(Transformer, AStepOfManyRowsGivesTheBitsOfSingleSteps) {
  for (const Kind kind : {Kind::kCpu, Kind::kReference}) {
    Machine machine(WeightMode::kNested, kind);
    const auto prompt = SomeTokens(290, 1), tokens = SomeTokens(17, 2);
    Line singly(machine), together(machine);
    singly.Prompt(prompt);
    together.Prompt(prompt);
    EXPECT_EQ(together.Step(Reader::kTarget, tokens), singly.StepSingly(tokens));
  }
}

TEST(Transformer, APromptOfAFullCacheGivesNearlyTheLogitsOfSteps) {
  Machine machine(WeightMode::kFloat, Kind::kReference);
  const auto prompt = SomeTokens(60, 5);
  Line prompted(machine, CacheKind::kFull), stepped(machine, CacheKind::kFull);
  const std::vector<float> expected = prompted.Prompt(prompt);
  const std::vector<float> all = stepped.StepSingly(prompt);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(all[all.size() - expected.size() + i], expected[i], 2e-3);
  }
}

TEST(Transformer, APromptGivesTheSameForEverySliceAndThreadCount) {
  for (const WeightMode mode : {WeightMode::kAuto, WeightMode::kBf16}) {
    const auto prompt = SomeTokens(777, 9);
    std::vector<float> logits;
    uint64_t digest = 0;
    for (const int threads : {1, 2}) {
      Machine machine(mode, Kind::kCpu, 0, threads);
      for (const int slice : {256, 100, 16, 7}) {
        Line line(machine);
        const std::vector<float> found = line.Prompt(prompt, slice);
        if (logits.empty()) {
          logits = found;
          digest = line.DigestValue();
        }
        EXPECT_EQ(found, logits) << slice;
        EXPECT_EQ(line.DigestValue(), digest) << slice;
      }
    }
  }
}

TEST(Transformer, APromptThatEndsInTheMiddleLeavesTheCacheAsItWas) {
  Machine machine(WeightMode::kAuto);
  Line stopped(machine), whole(machine);
  const auto prompt = SomeTokens(600, 1);
  const std::vector<float> expected = whole.Prompt(prompt);
  stopped.Prompt(std::span(prompt).first(256));
  const uint64_t before = stopped.DigestValue();
  machine.transformer->StartPrompt(stopped.RowsOf(std::span(prompt).subspan(256, 256)), false,
                                   stopped.rows);
  for (int slices = 0; slices < 3; ++slices) machine.transformer->AdvancePrompt(100, stopped.rows);
  EXPECT_NEAR(stopped.rows.Done(2), 0.5, 0.01);
  machine.transformer->EndPrompt(stopped.rows);
  EXPECT_EQ(stopped.cache->Length(), 256);
  EXPECT_EQ(stopped.DigestValue(), before);
  EXPECT_EQ(stopped.Prompt(std::span(prompt).subspan(256)), expected);
  EXPECT_EQ(stopped.DigestValue(), whole.DigestValue());
}

TEST(Transformer, DraftRowsLeaveNoTrace) {
  Machine machine(WeightMode::kNested);
  const auto prompt = SomeTokens(620, 1), tokens = SomeTokens(6, 2);
  Line plain(machine), drafted(machine);
  plain.Prompt(prompt);
  drafted.Prompt(prompt);
  const std::vector<float> draft = drafted.Step(Reader::kDraft, tokens);
  drafted.cache->Truncate(620);
  const std::vector<float> expected = plain.Step(Reader::kTarget, tokens);
  EXPECT_NE(draft, expected);  // else the draft read everything
  EXPECT_EQ(drafted.Step(Reader::kTarget, tokens), expected);
}

// The logits of prompts, drafts and steps, and the digest of the cache that they leave.
std::pair<std::vector<float>, uint64_t> Outcome(Kind kind, WeightMode mode,
                                                const LoadedModel& model) {
  Machine machine(mode, kind, 0, 2, &model);
  Line line(machine);
  std::vector<float> all;
  const auto add = [&](const std::vector<float>& logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  };
  add(line.Prompt(SomeTokens(530, 1), 200));
  const auto tokens = SomeTokens(4, 3);
  for (const Token& token : tokens) add(line.Step(Reader::kDraft, {&token, 1}));
  line.cache->Truncate(530);
  add(line.Step(Reader::kTarget, tokens));
  line.cache->Commit(machine.backend(), RowKind::kDecode);
  add(line.StepSingly(SomeTokens(3, 8)));
  add(line.Prompt(SomeTokens(300, 5)));
  const auto fork = line.cache->Fork(machine.backend());
  Digest of_fork;
  fork->AddTo(of_fork, machine.backend());
  EXPECT_EQ(of_fork.value(), line.DigestValue());
  return {all, line.DigestValue()};
}

// The reference with addresses that crash when they are touched: nothing outside the backend does.
TEST(Transformer, RunsOnMemoryThatOnlyTheBackendMayTouch) {
  for (const WeightMode mode : {WeightMode::kNested, WeightMode::kBf16}) {
    for (const LoadedModel& model : {RandomModel(SmallConfig()), ModelWithWindow()}) {
      EXPECT_EQ(Outcome(Kind::kReference, mode, model), Outcome(Kind::kOpaque, mode, model));
    }
  }
}

// Two layers that use every operation that classes may ask for.
LoadedModel ManySidedModel() {
  LayerClass first;
  first.rope.rotated = 32;
  first.rope.scaling = RopeScaling::kLongRope;
  first.rope.original_context = 100;
  first.rope.divisors.assign(16, 1.0f);
  first.rope.long_divisors.assign(16, 3.0f);
  first.qk_norm = QkNorm::kWhole;
  first.norms = NormPlace::kBoth;
  first.activation = Activation::kGeluTanh;
  first.residual_scale = 0.3f;
  first.attention_scale = 0.2f;
  first.query_growth = {0.1, 100};
  LayerClass second;
  second.norms = NormPlace::kAfter;
  ModelConfig config = LayeredConfig(SmallConfig().info, {first, second});
  config.embedding_scale = 3.0f;
  config.logit_scale = 0.5f;
  config.logit_softcap = 5.0f;
  return RandomModel(config);
}

TEST(Transformer, EveryOperationRunsOnMemoryThatOnlyTheBackendMayTouch) {
  const LoadedModel source = ManySidedModel();
  std::vector<float> outcomes[3];
  for (const Kind kind : {Kind::kReference, Kind::kOpaque, Kind::kCpu}) {
    Machine machine(WeightMode::kFloat, kind, 0, 2, &source);
    Line line(machine);
    std::vector<float>& all = outcomes[kind == Kind::kReference ? 0
                                       : kind == Kind::kOpaque  ? 1
                                                                : 2];
    all = line.Prompt(SomeTokens(330, 1), 200);
    const std::vector<float> step = line.Step(Reader::kTarget, SomeTokens(4, 3));
    all.insert(all.end(), step.begin(), step.end());
  }
  EXPECT_EQ(outcomes[0], outcomes[1]);
  ASSERT_EQ(outcomes[0].size(), outcomes[2].size());
  float largest = 0;
  for (size_t i = 0; i < outcomes[0].size(); ++i) {
    EXPECT_NEAR(outcomes[0][i], outcomes[2][i], 0.05) << i;
    largest = std::max(largest, std::abs(outcomes[0][i]));
  }
  EXPECT_GT(largest, 1.0f);
  EXPECT_LT(largest, 5.0f) << "capped";
}

// Weights that overflow.
class HugeReader : public TensorReader {
 public:
  explicit HugeReader(float value) : value_(value) {}
  void Decode(int64_t, Rows out) const override {
    std::fill_n(out.data, out.rows * out.columns, value_);
  }

 private:
  float value_;
};

TEST(Transformer, NumbersThatAreNotFiniteAreAnError) {
  struct Case {
    const char* tensors;
    float value;
  };
  // Products that overflow, and embeddings whose norm does.
  for (const Case huge : {Case{"ffn", 3e38f}, {"embedding", 1e25f}}) {
    for (const WeightMode mode : {WeightMode::kFloat, WeightMode::kNested, WeightMode::kBf16}) {
      LoadedModel source = RandomModel(SmallConfig());
      for (SourceTensor& tensor : source.tensors) {
        if (tensor.name.find(huge.tensors) == std::string::npos) continue;
        tensor.reader = std::make_shared<HugeReader>(huge.value);
      }
      Machine machine(mode, Kind::kCpu, 0, 2, &source);
      Line line(machine);
      EXPECT_THROW(line.Prompt(SomeTokens(5, 1)), Error);
    }
  }
}

// Logits of one token after `prompt` over a cache that both readers see alike.
std::vector<float> LogitsOf(Machine& machine, Reader reader, const std::vector<Token>& prompt) {
  Line line(machine, CacheKind::kFull);
  line.Prompt(prompt);
  const Token token = 7;
  return line.Step(reader, {&token, 1});
}

TEST(Transformer, ADraftOfExactLayersOnlyGivesTheBitsOfTheTarget) {
  const auto prompt = SomeTokens(40, 3);
  std::vector<float> target, draft[3];
  uint64_t bytes[3];
  for (const int exact : {0, 1, 2}) {
    Machine machine(WeightMode::kNested, Kind::kCpu, exact);
    target = LogitsOf(machine, Reader::kTarget, prompt);
    draft[exact] = LogitsOf(machine, Reader::kDraft, prompt);
    bytes[exact] = machine.model->ReadBytes(machine.transformer->backend(), Reader::kDraft);
  }
  EXPECT_EQ(draft[2], target);
  EXPECT_NE(draft[1], target);
  EXPECT_NE(draft[0], draft[1]);
  EXPECT_LT(bytes[0], bytes[1]);
  EXPECT_EQ(bytes[1] - bytes[0], bytes[2] - bytes[1]);
}

TEST(Transformer, ExactLayersOfABf16DraftNeedNoCopy) {
  Machine copied(WeightMode::kBf16, Kind::kCpu, 0), exact(WeightMode::kBf16, Kind::kCpu, 1);
  EXPECT_LT(exact.model->bytes(), copied.model->bytes());
  EXPECT_NE(copied.model->layer(1).up.draft.upper, copied.model->layer(1).up.target.upper);
  EXPECT_EQ(exact.model->layer(1).up.draft.upper, exact.model->layer(1).up.target.upper);
  EXPECT_NE(exact.model->layer(0).up.draft.upper, exact.model->layer(0).up.target.upper);
}

}  // namespace
}  // namespace quantspec
