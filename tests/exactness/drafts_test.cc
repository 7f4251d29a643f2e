// Every draft leaves the output as it is: tokens and cache equal plain decoding's for all drafts,
// caches and weights, also in sessions that are copies with another draft.
#include <gtest/gtest.h>

#include <tuple>

#include "exactness/models.h"

namespace quantspec {
namespace {

using testing::ModelOfWindows;
using testing::ModelWithWindows;
using testing::TinyModel;
using testing::TinyText;

constexpr int kPrompt = 450;
constexpr int kAnswer = 200;  // two seals

struct Output {
  std::vector<Token> tokens;
  std::string digest;
  GenerateStats stats;
};

Output Answer(Session& session, int gamma, float temperature) {
  GenerateOptions options;
  options.max_tokens = kAnswer;
  options.gamma = gamma;
  options.ignore_end = true;
  options.sampling.temperature = temperature;
  options.sampling.seed = 5;
  const GenerateResult result = session.Generate(options);
  return {result.tokens, session.CacheDigest(), result.stats};
}

DraftOptions Draft(DraftKind kind) {
  DraftOptions draft;
  draft.kind = kind;
  const bool has_budget = kind != DraftKind::kUpper && kind != DraftKind::kNgram;
  if (has_budget) draft.budget_tokens = 128;
  return draft;
}

SessionOptions Options(CacheKind cache, const DraftOptions& draft) {
  SessionOptions options;
  options.context = kPrompt + kAnswer;
  options.cache = cache;
  options.draft = draft;
  return options;
}

constexpr DraftKind kKinds[] = {DraftKind::kGroups, DraftKind::kUpper,  DraftKind::kStreaming,
                                DraftKind::kSnapKv, DraftKind::kPillar, DraftKind::kNgram};

// A tiny model, weights, cache.
class Drafts : public ::testing::TestWithParam<std::tuple<std::string, WeightMode, CacheKind>> {
 protected:
  Drafts() {
    EngineOptions options;
    options.model_path = std::get<0>(GetParam());
    options.weights = std::get<1>(GetParam());
    options.threads = 2;
    engine_ = Engine::Load(ModelFile::Open(options), {3 * (kPrompt + kAnswer), 1});
  }
  CacheKind cache() const { return std::get<2>(GetParam()); }
  std::unique_ptr<Session> Open(const DraftOptions& draft) const {
    auto session = engine_->Open(Options(cache(), draft));
    EXPECT_TRUE(session->Prefill(TinyText(kPrompt)));
    return session;
  }

  std::shared_ptr<const Engine> engine_;
};

TEST_P(Drafts, LeaveTheOutputAsItIs) {
  const auto base = Open(Draft(DraftKind::kSnapKv));
  for (const float temperature : {0.0f, 0.9f}) {
    const Output plain = Answer(*base->Fork({}), 0, temperature);
    const std::vector<int> gammas =
        temperature > 0 ? std::vector<int>{5} : std::vector<int>{1, 16, kGammaAuto};
    for (const DraftKind kind : kKinds) {
      for (const int gamma : gammas) {
        const Output output = Answer(*base->Fork(Draft(kind)), gamma, temperature);
        const std::string where = "draft " + std::to_string(static_cast<int>(kind)) + ", gamma " +
                                  std::to_string(gamma) + ", temperature " +
                                  std::to_string(temperature);
        EXPECT_EQ(output.tokens, plain.tokens) << where;
        EXPECT_EQ(output.digest, plain.digest) << where;
        if (gamma == 1 && kind != DraftKind::kNgram) {
          EXPECT_GT(output.stats.accepted, 0) << where;
        }
      }
    }
  }
}

TEST_P(Drafts, ACopyMayHaveAnotherDraft) {
  const auto base = Open(Draft(DraftKind::kSnapKv));
  const Output plain = Answer(*Open({}), 0, 0);
  for (const DraftKind kind : {DraftKind::kStreaming, DraftKind::kSnapKv, DraftKind::kPillar}) {
    const Output alone = Answer(*Open(Draft(kind)), 4, 0);
    const Output copy = Answer(*base->Fork(Draft(kind)), 4, 0);
    EXPECT_EQ(copy.tokens, plain.tokens);
    EXPECT_EQ(copy.digest, plain.digest);
    // What was known of the prompt's last queries is known to the copy.
    if (kind == DraftKind::kSnapKv) {
      EXPECT_EQ(copy.stats.accepted, alone.stats.accepted);
      EXPECT_EQ(copy.stats.rounds, alone.stats.rounds);
    }
  }
}

TEST_P(Drafts, MayReadTheTargetsWeights) {
  const Output plain = Answer(*Open({}), 0, 0);
  for (const DraftKind kind : {DraftKind::kUpper, DraftKind::kSnapKv}) {
    DraftOptions draft = Draft(kind);
    draft.weights = DraftPart::kTarget;
    draft.cache = DraftPart::kTarget;
    const Output output = Answer(*Open(draft), 3, 0);
    EXPECT_EQ(output.tokens, plain.tokens);
    EXPECT_EQ(output.digest, plain.digest);
    // A draft that reads all that the target reads hardly ever errs.
    if (kind == DraftKind::kUpper) {
      EXPECT_GT(output.stats.accepted, output.stats.drafted * 97 / 100);
    }
  }
}

TEST_P(Drafts, GoOnAfterAnotherPromptAndARewind) {
  for (const DraftKind kind : {DraftKind::kStreaming, DraftKind::kSnapKv, DraftKind::kPillar}) {
    std::vector<Output> outputs;
    for (const int gamma : {0, 4}) {
      const auto session = engine_->Open(Options(cache(), Draft(kind)));
      ASSERT_TRUE(session->Prefill(TinyText(300)));
      GenerateOptions options;
      options.max_tokens = 20;
      options.gamma = gamma;
      options.ignore_end = true;
      session->Generate(options);
      ASSERT_TRUE(session->Prefill(TinyText(7)));
      session->Generate(options);
      session->Rewind(256);
      ASSERT_TRUE(session->Prefill(TinyText(190)));
      outputs.push_back(Answer(*session, gamma, 0));
    }
    EXPECT_EQ(outputs[0].tokens, outputs[1].tokens);
    EXPECT_EQ(outputs[0].digest, outputs[1].digest);
  }
}

std::string DraftsName(const ::testing::TestParamInfo<Drafts::ParamType>& info) {
  const auto& [model, weights, cache] = info.param;
  const std::string windows = model == TinyModel()          ? ""
                              : model == ModelWithWindows() ? "SomeWindows"
                                                            : "AllWindows";
  return windows + (weights == WeightMode::kAuto ? "Auto" : "Bf16") +
         (cache == CacheKind::kFull ? "Full" : "Hierarchical");
}

INSTANTIATE_TEST_SUITE_P(All, Drafts,
                         ::testing::Combine(::testing::Values(TinyModel()),
                                            ::testing::Values(WeightMode::kAuto, WeightMode::kBf16),
                                            ::testing::Values(CacheKind::kHierarchical,
                                                              CacheKind::kFull)),
                         DraftsName);
INSTANTIATE_TEST_SUITE_P(Windows, Drafts,
                         ::testing::Combine(::testing::Values(ModelWithWindows(), ModelOfWindows()),
                                            ::testing::Values(WeightMode::kAuto),
                                            ::testing::Values(CacheKind::kHierarchical,
                                                              CacheKind::kFull)),
                         DraftsName);

TEST(DraftOptions, AreCheckedWithWhatTheyGoWith) {
  EngineOptions options;
  options.model_path = TinyModel();
  options.weights = WeightMode::kFloat;
  const auto engine = Engine::Load(ModelFile::Open(options));
  DraftOptions draft;
  draft.weights = DraftPart::kInt4;
  EXPECT_THROW(engine->Open(Options(CacheKind::kFull, draft)), Error) << "float has no 4 bits";
  draft = {};
  draft.cache = DraftPart::kInt4;
  EXPECT_THROW(engine->Open(Options(CacheKind::kFull, draft)), Error);
  draft.kind = DraftKind::kSnapKv;
  EXPECT_THROW(engine->Open(Options(CacheKind::kHierarchical, draft)), Error);
  draft = {};
  draft.budget_share = 1.5f;
  const auto session = engine->Open(Options(CacheKind::kFull, {}));
  EXPECT_THROW(session->Fork(draft), Error);
  draft = Draft(DraftKind::kUpper);
  draft.budget_tokens = 128;
  EXPECT_THROW(session->Fork(draft), Error);
  draft.budget_tokens = kDraftBudgetAll;
  EXPECT_NE(session->Fork(draft), nullptr);
  draft = Draft(DraftKind::kNgram);
  draft.weights = DraftPart::kTarget;
  EXPECT_THROW(session->Fork(draft), Error);
}

}  // namespace
}  // namespace quantspec
