// The cache of a prompt, and what follows it, depend on its tokens alone: not on how it was cut,
// stopped and repeated, on who else was there, or on what the prompt store held.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "exactness/models.h"
#include "quantspec/engine.h"
#include "quantspec/scheduler.h"

namespace quantspec {
namespace {

constexpr int kNext = 64;  // tokens that follow

struct Outcome {
  std::string digest;  // behind the prompt
  std::vector<Token> next;
  bool operator==(const Outcome&) const = default;
};

struct Setting {
  std::string name;
  int before = 300;  // tokens generated before the prompt that continues them
  std::string model;
  std::vector<Token> text;
  int prompt = 0;  // tokens of the text
  WeightMode weights = WeightMode::kAuto;
  CacheKind cache = CacheKind::kHierarchical;
};

class Prompts {
 public:
  Prompts(const Setting& setting, int before) : setting_(setting), before_(before) {
    EngineOptions options;
    options.model_path = setting.model;
    options.weights = setting.weights;
    options.threads = 2;
    context_ = (before > 0 ? kBeforePrompt + before : 0) + setting.prompt + kNext;
    engine_ = Engine::Load(ModelFile::Open(options), {9 * (context_ + 256), 8});
  }

  // A session behind what comes before the prompt: nothing, or tokens that it generated.
  std::unique_ptr<Session> Open(PromptReuse reuse = PromptReuse::kNone) const {
    SessionOptions options;
    options.context = context_;
    options.cache = setting_.cache;
    options.reuse = reuse;
    auto session = engine_->Open(options);
    if (before_ > 0) {
      session->Prefill(std::span<const Token>(setting_.text).last(kBeforePrompt));
      GenerateOptions generate;
      generate.max_tokens = before_;
      generate.ignore_end = true;
      session->Generate(generate);
    }
    return session;
  }

  std::span<const Token> prompt() const {
    return std::span<const Token>(setting_.text).first(static_cast<size_t>(setting_.prompt));
  }

  static GenerateOptions Next() {
    GenerateOptions options;
    options.max_tokens = kNext;
    options.ignore_end = true;
    return options;
  }
  static Outcome OutcomeOf(Session& session) {
    Outcome outcome;
    outcome.digest = session.CacheDigest();
    outcome.next = session.Generate(Next()).tokens;
    return outcome;
  }

  Outcome Whole(PromptReuse reuse = PromptReuse::kNone) const {
    const auto session = Open(reuse);
    EXPECT_TRUE(session->Prefill(prompt()));
    return OutcomeOf(*session);
  }

  Outcome Cut(int pieces, uint32_t seed) const {
    std::mt19937 random(seed);
    std::vector<size_t> cuts = {0, prompt().size()};
    for (int i = 0; i < pieces; ++i) cuts.push_back(random() % prompt().size());
    std::sort(cuts.begin(), cuts.end());
    const auto session = Open();
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      const auto piece = prompt().subspan(cuts[i], cuts[i + 1] - cuts[i]);
      if (piece.empty()) continue;
      EXPECT_TRUE(session->Prefill(piece));
    }
    return OutcomeOf(*session);
  }

  // Stopped in the middle of a layer or chunk, the rest given again, until it is read.
  Outcome Stopped(uint32_t seed) const {
    std::mt19937 random(seed);
    const auto session = Open();
    const int start = session->length() + (before_ > 0 ? 1 : 0);
    for (int stops = 0;; ++stops) {
      const int done = std::max(session->length() - start, 0);
      int calls = 1 + static_cast<int>(random() % 40);
      if (stops == 6) calls = 1 << 30;
      const auto rest = prompt().subspan(static_cast<size_t>(done));
      if (session->Prefill(rest, [&](int, int) { return --calls > 0; })) break;
    }
    return OutcomeOf(*session);
  }

  // Beside seven other requests of several lengths.
  Outcome BesideOthers() const {
    SchedulerOptions options;
    options.session.cache = setting_.cache;
    options.session.reuse = PromptReuse::kNone;
    options.session.context = context_;
    const auto scheduler = Scheduler::Start(engine_, options);
    std::vector<std::shared_ptr<Stream>> streams;
    for (int i = 0; i < 8; ++i) {
      Request request;
      const size_t length = i == 3 ? prompt().size() : static_cast<size_t>(37 * i + 20);
      const auto text = std::span<const Token>(setting_.text).subspan(i == 3 ? 0 : 11u * i, length);
      request.prompt.assign(text.begin(), text.end());
      request.generate = Next();
      request.generate.gamma = i % 3 == 0 ? 3 : i % 3 == 1 ? 0 : kGammaAuto;
      request.wants_digest = true;
      streams.push_back(scheduler->Submit(std::move(request)));
    }
    Outcome outcome;
    while (const auto event = streams[3]->Next(600)) {
      if (event->kind == StreamEvent::Kind::kToken) {
        outcome.next.push_back(event->token);
        continue;
      }
      EXPECT_EQ(event->kind, StreamEvent::Kind::kDone) << event->error;
      outcome.digest = event->digest;
      break;
    }
    return outcome;
  }

  // The same as a session alone would have it at its end.
  Outcome WholeToTheEnd() const {
    const auto session = Open();
    session->Prefill(prompt());
    Outcome outcome;
    outcome.next = session->Generate(Next()).tokens;
    outcome.digest = session->CacheDigest();
    return outcome;
  }

 private:
  static constexpr size_t kBeforePrompt = 150;

  Setting setting_;
  int before_;
  int context_ = 0;
  std::shared_ptr<const Engine> engine_;
};

void ExpectOneOutcome(const Setting& setting) {
  SCOPED_TRACE(setting.name + ", weights " + std::to_string(static_cast<int>(setting.weights)) +
               ", cache " + std::to_string(static_cast<int>(setting.cache)));
  for (const int before : {0, setting.before}) {
    const Prompts prompts(setting, before);
    const Outcome whole = prompts.Whole();
    EXPECT_EQ(prompts.Cut(20, 1), whole) << "cut, behind " << before << " generated tokens";
    EXPECT_EQ(prompts.Stopped(2), whole) << "stopped, behind " << before << " generated tokens";
    if (before > 0) continue;
    prompts.Whole(PromptReuse::kPrompts);
    EXPECT_EQ(prompts.Whole(PromptReuse::kPrompts), whole) << "from the prompt store";
    EXPECT_EQ(prompts.BesideOthers(), prompts.WholeToTheEnd()) << "beside others";
  }
}

constexpr WeightMode kWeights[] = {WeightMode::kAuto, WeightMode::kNested, WeightMode::kBf16};

TEST(Prompts, DependOnTheirTokensAloneOnATinyModel) {
  for (const WeightMode weights : kWeights) {
    for (const CacheKind cache : {CacheKind::kHierarchical, CacheKind::kFull}) {
      ExpectOneOutcome(
          {"tiny", 300, testing::TinyModel(), testing::TinyText(1100), 700, weights, cache});
    }
  }
}

TEST(Prompts, DependOnTheirTokensAloneOnEveryFamily) {
  for (const char* name : testing::kFamilyModels) {
    const std::string model = std::string(QS_GOLDEN_DIR) + "/models/" + name;
    ExpectOneOutcome({name, 40, model, testing::TinyText(1000), 560, WeightMode::kAuto,
                      CacheKind::kHierarchical});
  }
}

TEST(Prompts, DependOnTheirTokensAloneOnModelsWithWindows) {
  for (const std::string& model : {testing::ModelWithWindows(), testing::ModelOfWindows()}) {
    for (const WeightMode weights : {WeightMode::kAuto, WeightMode::kBf16}) {
      for (const CacheKind cache : {CacheKind::kHierarchical, CacheKind::kFull}) {
        ExpectOneOutcome({model, 300, model, testing::TinyText(1400), 1100, weights, cache});
      }
    }
  }
}

// What a prefix shares goes as far as the rows of its windows are there.
TEST(Prompts, ShareStoredChunksOfModelsWithWindows) {
  for (const std::string& model : {testing::ModelWithWindows(), testing::ModelOfWindows()}) {
    EngineOptions engine_options;
    engine_options.model_path = model;
    const auto engine = Engine::Load(ModelFile::Open(engine_options), {9000, 1});
    SessionOptions options;
    options.context = 1500;
    const std::vector<Token> text = testing::TinyText(1300);
    const auto read = [&](size_t shared, PromptReuse reuse, int* cached) {
      std::vector<Token> prompt(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(shared));
      for (int i = 0; i < 40; ++i) prompt.push_back(static_cast<Token>(shared) % 200 + i);
      options.reuse = reuse;
      const auto session = engine->Open(options);
      EXPECT_TRUE(session->Prefill(prompt));
      const std::string digest = session->CacheDigest();
      const GenerateResult result = session->Generate(Prompts::Next());
      if (cached != nullptr) *cached = result.stats.cached_tokens;
      return Outcome{digest, result.tokens};
    };
    int cached = -1;
    read(1300, PromptReuse::kPrompts, &cached);
    EXPECT_EQ(cached, 0);
    // One sequence's windows are kept: the newest of those chunks.
    const Outcome shared = read(1300, PromptReuse::kPrompts, &cached);
    EXPECT_EQ(cached, 1280);
    EXPECT_EQ(shared, read(1300, PromptReuse::kNone, nullptr));
    for (const size_t prefix : {1030, 300, 300, 1100}) {
      EXPECT_EQ(read(prefix, PromptReuse::kPrompts, &cached),
                read(prefix, PromptReuse::kNone, nullptr));
    }
  }
}

TEST(Prompts, DependOnTheirTokensAloneOnTheDemoModel) {
  const std::string model = testing::DemoModel();
  if (model.empty()) GTEST_SKIP() << "SKIPPED: QUANTSPEC_TEST_MODEL names no model";
  const bool is_full = testing::IsFullRun();
  const int prompt = is_full ? 2560 : 520, before = is_full ? 300 : 40;
  const std::vector<Token> text = testing::DemoText(model, static_cast<size_t>(prompt) + 300);
  for (const WeightMode weights : kWeights) {
    ExpectOneOutcome({"demo", before, model, text, prompt, weights, CacheKind::kHierarchical});
    if (is_full || weights == WeightMode::kAuto) {
      ExpectOneOutcome({"demo", before, model, text, prompt, weights, CacheKind::kFull});
    }
  }
}

}  // namespace
}  // namespace quantspec
