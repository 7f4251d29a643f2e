// The forward pass over small random models: rows of several sequences in one step, prefill
// against steps, readers.
#include "model/transformer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace quantspec {
namespace {

ModelConfig SmallConfig() {
  ModelConfig config;
  config.info = {"small", "llama", 2, 128, 256, 4, 2, 64, 160, 1024};
  config.rope.rotated = 64;
  return config;
}

struct Machine {
  explicit Machine(WeightMode mode, bool reference = false, int draft_exact_layers = 0)
      : source(SmallConfig()), pool(2), kind(reference) {
    WeightOptions options;
    options.mode = mode;
    options.draft_exact_layers = draft_exact_layers;
    const auto packer = NewBackend();
    model = std::make_unique<Model>(source, SmallConfig(), options, *packer, pool,
                                    std::function<bool(double)>{});
    transformer = std::make_unique<Transformer>(*model, NewBackend(), TransformerLimits{1024, 40});
  }
  std::unique_ptr<Backend> NewBackend() {
    return kind ? MakeReferenceBackend() : MakeCpuBackend(pool);
  }
  std::unique_ptr<KvCache> NewCache(CacheKind cache = CacheKind::kHierarchical) {
    KvCacheSpec spec;
    spec.kind = cache;
    spec.geometry = {2, 64};
    spec.layers = 2;
    spec.context = 1024;
    return MakeKvCache(spec, transformer->backend());
  }

  TensorSource source;
  ThreadPool pool;
  bool kind;
  std::unique_ptr<Model> model;
  std::unique_ptr<Transformer> transformer;
};

std::vector<Token> SomeTokens(int count, int salt) {
  std::vector<Token> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + salt * 11 + i * i) % 160);
  return tokens;
}

std::vector<float> Copy(ConstRows rows) {
  return {rows.data, rows.data + rows.rows * rows.columns};
}

// Steps `tokens` one at a time.
std::vector<float> StepSingly(Machine& machine, KvCache& cache, const std::vector<Token>& tokens) {
  std::vector<float> all;
  for (const Token& token : tokens) {
    const StepRows rows{&cache, {&token, 1}};
    const std::vector<float> logits = Copy(machine.transformer->Step(Reader::kTarget, {&rows, 1}));
    all.insert(all.end(), logits.begin(), logits.end());
    cache.Commit(machine.transformer->backend());
  }
  return all;
}

TEST(Transformer, RowsOfTwoSequencesInOneStepGiveTheBitsOfEachAlone) {
  for (const WeightMode mode : {WeightMode::kAuto, WeightMode::kNested, WeightMode::kBf16}) {
    Machine machine(mode);
    const auto first_prompt = SomeTokens(300, 1), second_prompt = SomeTokens(41, 2);
    const auto first_tokens = SomeTokens(5, 3), second_tokens = SomeTokens(7, 4);
    auto run = [&](bool together) {
      const auto a = machine.NewCache(), b = machine.NewCache();
      machine.transformer->Prefill(*a, first_prompt, {});
      machine.transformer->Prefill(*b, second_prompt, {});
      const StepRows rows[] = {{a.get(), first_tokens}, {b.get(), second_tokens}};
      if (together) return Copy(machine.transformer->Step(Reader::kTarget, rows));
      std::vector<float> logits = Copy(machine.transformer->Step(Reader::kTarget, {&rows[0], 1}));
      const std::vector<float> more =
          Copy(machine.transformer->Step(Reader::kTarget, {&rows[1], 1}));
      logits.insert(logits.end(), more.begin(), more.end());
      return logits;
    };
    EXPECT_EQ(run(true), run(false));
  }
}

TEST(Transformer, AStepOfManyRowsGivesTheBitsOfSingleSteps) {
  for (const bool reference : {false, true}) {
    Machine machine(WeightMode::kNested, reference);
    const auto prompt = SomeTokens(290, 1), tokens = SomeTokens(17, 2);
    const auto singly = machine.NewCache(), together = machine.NewCache();
    machine.transformer->Prefill(*singly, prompt, {});
    machine.transformer->Prefill(*together, prompt, {});
    const std::vector<float> expected = StepSingly(machine, *singly, tokens);
    const StepRows rows{together.get(), tokens};
    EXPECT_EQ(Copy(machine.transformer->Step(Reader::kTarget, {&rows, 1})), expected);
  }
}

TEST(Transformer, PrefillOfAFullCacheGivesNearlyTheLogitsOfSteps) {
  Machine machine(WeightMode::kFloat, true);
  const auto prompt = SomeTokens(60, 5);
  const auto prefilled = machine.NewCache(CacheKind::kFull),
             stepped = machine.NewCache(CacheKind::kFull);
  const std::vector<float> expected = Copy(machine.transformer->Prefill(*prefilled, prompt, {}));
  std::vector<float> all = StepSingly(machine, *stepped, prompt);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(all[all.size() - expected.size() + i], expected[i], 2e-3);
  }
}

TEST(Transformer, PrefillInChunksSealsTheSameCacheForEveryThreadCount) {
  Machine machine(WeightMode::kAuto);
  Digest digests[2];
  for (int threads : {1, 2}) {
    ThreadPool pool(threads);
    Transformer transformer(*machine.model, MakeCpuBackend(pool), {1024, 17});
    const auto cache = machine.NewCache();
    transformer.Prefill(*cache, SomeTokens(777, 9), {});
    cache->AddTo(digests[threads - 1], transformer.backend());
  }
  EXPECT_EQ(digests[0].value(), digests[1].value());
}

TEST(Transformer, AnInterruptedPrefillLeavesAnEmptyCache) {
  Machine machine(WeightMode::kAuto);
  const auto cache = machine.NewCache();
  const ConstRows logits = machine.transformer->Prefill(*cache, SomeTokens(600, 1),
                                                        [](double done) { return done < 0.5; });
  EXPECT_EQ(logits.rows, 0);
  EXPECT_EQ(cache->Length(), 0);
}

TEST(Transformer, DraftRowsLeaveNoTrace) {
  Machine machine(WeightMode::kNested);
  const auto prompt = SomeTokens(270, 1), tokens = SomeTokens(6, 2);
  const auto plain = machine.NewCache(), drafted = machine.NewCache();
  machine.transformer->Prefill(*plain, prompt, {});
  machine.transformer->Prefill(*drafted, prompt, {});
  const StepRows draft_rows{drafted.get(), tokens};
  const std::vector<float> draft =
      Copy(machine.transformer->Step(Reader::kDraft, {&draft_rows, 1}));
  drafted->Truncate(270);
  const StepRows plain_rows{plain.get(), tokens};
  const std::vector<float> expected =
      Copy(machine.transformer->Step(Reader::kTarget, {&plain_rows, 1}));
  EXPECT_NE(draft, expected);  // else the draft read everything
  EXPECT_EQ(Copy(machine.transformer->Step(Reader::kTarget, {&draft_rows, 1})), expected);
}

// Logits of one token after `prompt` over a cache that both readers see alike.
std::vector<float> LogitsOf(Machine& machine, Reader reader, const std::vector<Token>& prompt) {
  const auto cache = machine.NewCache(CacheKind::kFull);
  machine.transformer->Prefill(*cache, prompt, {});
  const Token token = 7;
  const StepRows rows{cache.get(), {&token, 1}};
  return Copy(machine.transformer->Step(reader, {&rows, 1}));
}

TEST(Transformer, ADraftOfExactLayersOnlyGivesTheBitsOfTheTarget) {
  const auto prompt = SomeTokens(40, 3);
  std::vector<float> target, draft[3];
  uint64_t bytes[3];
  for (const int exact : {0, 1, 2}) {
    Machine machine(WeightMode::kNested, false, exact);
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
  Machine copied(WeightMode::kBf16, false, 0), exact(WeightMode::kBf16, false, 1);
  EXPECT_LT(exact.model->bytes(), copied.model->bytes());
  EXPECT_NE(copied.model->layer(1).up.draft.upper, copied.model->layer(1).up.target.upper);
  EXPECT_EQ(exact.model->layer(1).up.draft.upper, exact.model->layer(1).up.target.upper);
  EXPECT_NE(exact.model->layer(0).up.draft.upper, exact.model->layer(0).up.target.upper);
}

}  // namespace
}  // namespace quantspec
