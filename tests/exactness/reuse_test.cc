// PromptReuse::kAll: what was generated is found by the next turn, as it was generated, and never
// by those who take prompts alone.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "exactness/models.h"
#include "quantspec/scheduler.h"

namespace quantspec {
namespace {

namespace fs = std::filesystem;

constexpr int kTurns = 3;
constexpr int kQuestion[kTurns] = {300, 90, 150};  // tokens
constexpr int kAnswer[kTurns] = {301, 310, 200};

struct Outcome {
  std::vector<Token> tokens;
  std::string digest;
  int cached = 0;
};

std::shared_ptr<const Engine> Load(const std::string& model, const std::string& folder = "",
                                   int cache_tokens = 16 * 1024) {
  EngineOptions options;
  options.model_path = model;
  options.threads = 2;
  options.prompt_store = folder;
  return Engine::Load(ModelFile::Open(options), {cache_tokens, 4});
}

std::unique_ptr<Session> Open(const Engine& engine, PromptReuse reuse) {
  SessionOptions options;
  options.context = 1800;
  options.reuse = reuse;
  return engine.Open(options);
}

GenerateOptions Greedy(int tokens, int gamma) {
  GenerateOptions options;
  options.max_tokens = tokens;
  options.gamma = gamma;
  options.ignore_end = true;
  return options;
}

// An answer of a session of its own, as a server's requests have.
Outcome Ask(const Engine& engine, const std::vector<Token>& prompt, int tokens, PromptReuse reuse,
            int gamma = 3) {
  const auto session = Open(engine, reuse);
  session->Prefill(prompt);
  const GenerateResult result = session->Generate(Greedy(tokens, gamma));
  return {result.tokens, session->CacheDigest(), result.stats.cached_tokens};
}

std::vector<Token> Question(int turn) {
  const std::vector<Token> text = testing::TinyText(1000);
  const auto begin = text.begin() + 211 * turn;
  return {begin, begin + kQuestion[turn]};
}

void Append(std::vector<Token>* tokens, const std::vector<Token>& more) {
  tokens->insert(tokens->end(), more.begin(), more.end());
}

class Reuse : public ::testing::TestWithParam<std::string> {
 protected:
  // True of the model whose generated rows seal to other bytes than those of prompts.
  static bool IsTold() { return GetParam() == "llama-long.gguf"; }

  const std::string model_ = std::string(QS_GOLDEN_DIR) + "/models/" + GetParam();
};

TEST_P(Reuse, TheNextTurnDoesNotReadTheAnswerAgain) {
  const auto engine = Load(model_);
  std::vector<Token> history;
  int generated_to = 0;  // tokens that the turn before had in its cache
  for (int turn = 0; turn < kTurns; ++turn) {
    Append(&history, Question(turn));
    const Outcome plain = Ask(*engine, history, kAnswer[turn], PromptReuse::kAll, 0);
    EXPECT_EQ(plain.cached, generated_to / 256 * 256) << "turn " << turn;
    for (const int gamma : {3, kGammaAuto}) {
      const Outcome drafted = Ask(*engine, history, kAnswer[turn], PromptReuse::kAll, gamma);
      EXPECT_EQ(drafted.tokens, plain.tokens) << "turn " << turn << ", gamma " << gamma;
      EXPECT_EQ(drafted.digest, plain.digest) << "turn " << turn << ", gamma " << gamma;
    }
    Append(&history, plain.tokens);
    generated_to = static_cast<int>(history.size()) - 1;
  }
}

TEST_P(Reuse, WhatIsRestoredIsWhatWasGenerated) {
  const auto engine = Load(model_);
  std::vector<Token> all = Question(0);
  const auto first = Open(*engine, PromptReuse::kAll);
  first->Prefill(all);
  // The next prompt begins at the end of a chunk: nothing of the tail is left out.
  Append(&all, first->Generate(Greedy(513 - kQuestion[0], 3)).tokens);
  ASSERT_EQ(first->length(), 512);
  first->Prefill(Question(1));
  Append(&all, Question(1));
  const std::string digest = first->CacheDigest();
  const std::vector<Token> next = first->Generate(Greedy(200, 0)).tokens;
  for (const int gamma : {0, 3, kGammaAuto}) {
    const auto second = Open(*engine, PromptReuse::kAll);
    second->Prefill(all);
    EXPECT_EQ(second->CacheDigest(), digest);
    const GenerateResult result = second->Generate(Greedy(200, gamma));
    EXPECT_EQ(result.stats.cached_tokens, 512);
    EXPECT_EQ(result.tokens, next) << "gamma " << gamma;
    EXPECT_EQ(second->CacheDigest(), first->CacheDigest()) << "gamma " << gamma;
  }
  if (!IsTold()) return;
  const auto cold = Open(*engine, PromptReuse::kNone);
  cold->Prefill(all);
  EXPECT_NE(cold->CacheDigest(), digest) << "generated rows are those of prompts: nothing to prove";
}

TEST_P(Reuse, PromptsAloneNeverFindIt) {
  const auto engine = Load(model_), untouched = Load(model_);
  std::vector<Token> history = Question(0);
  Append(&history, Ask(*engine, history, kAnswer[0], PromptReuse::kAll).tokens);
  Append(&history, Question(1));
  Ask(*engine, history, 5, PromptReuse::kAll);
  const Outcome expected = Ask(*untouched, history, 100, PromptReuse::kNone);
  const Outcome first = Ask(*engine, history, 100, PromptReuse::kPrompts);
  EXPECT_EQ(first.cached, 256) << "of the first question";
  EXPECT_EQ(first.tokens, expected.tokens);
  EXPECT_EQ(first.digest, expected.digest);
  const Outcome second = Ask(*engine, history, 100, PromptReuse::kAll);
  EXPECT_EQ(second.cached, 512);
  EXPECT_EQ(second.digest, expected.digest) << "of two chunks the prompt's is taken";
}

// Two histories of the same tokens, which differ in where the prompt ended.
TEST_P(Reuse, AnAnswerGoesOnOverItsOwnRows) {
  const std::vector<Token> text = testing::TinyText(1100);
  const auto history = [&](Session& session, int prompt) {
    session.Prefill(std::span(text).first(static_cast<size_t>(prompt)));
    while (session.length() < 1100) {
      const auto rest = std::span(text).subspan(static_cast<size_t>(session.length()));
      const auto room = static_cast<size_t>(session.step_room());
      session.Step(Reader::kTarget, rest.first(std::min({rest.size(), room, size_t{7}})));
      session.Rewind(session.length());
    }
    return session.CacheDigest();
  };
  const auto engine = Load(model_);
  const std::string expected[2] = {history(*Open(*engine, PromptReuse::kNone), 266),
                                   history(*Open(*engine, PromptReuse::kNone), 300)};
  if (IsTold()) {
    EXPECT_NE(expected[0], expected[1]);
  }
  for (const int which : {0, 1, 0, 1}) {
    EXPECT_EQ(history(*Open(*engine, PromptReuse::kAll), which == 0 ? 266 : 300), expected[which]);
  }
  EXPECT_EQ(Ask(*engine, text, 1, PromptReuse::kAll).cached, 1024);
}

TEST_P(Reuse, AConversationOfOneSessionIsStoredToo) {
  const auto engine = Load(model_);
  std::vector<Token> history = Question(0);
  const auto session = Open(*engine, PromptReuse::kAll);
  session->Prefill(history);
  Append(&history, session->Generate(Greedy(kAnswer[0], 3)).tokens);
  session->Prefill(Question(1));
  Append(&history, Question(1));
  Append(&history, session->Generate(Greedy(kAnswer[1], 3)).tokens);
  session->Clear();
  Append(&history, Question(2));
  session->Prefill(history);
  EXPECT_EQ(session->Generate(Greedy(1, 0)).stats.cached_tokens, 768);
}

TEST_P(Reuse, RequestsOfASchedulerTakeIt) {
  const auto engine = Load(model_);
  SchedulerOptions options;
  options.session.reuse = PromptReuse::kAll;
  const auto scheduler = Scheduler::Start(engine, options);
  for (const int reserve : {0, 20}) {
    std::vector<Token> history;
    for (int turn = 0; turn < kTurns; ++turn) {
      Append(&history, Question(turn));
      Request request;
      request.prompt = history;
      request.generate = Greedy(kAnswer[turn], 3);
      request.reserve_tokens = reserve;
      request.salt = reserve == 0 ? "one" : "another";
      const auto stream = scheduler->Submit(request);
      std::optional<StreamEvent> event;
      do {
        event = stream->Next(60);
        ASSERT_TRUE(event.has_value());
      } while (event->kind == StreamEvent::Kind::kToken);
      ASSERT_EQ(event->kind, StreamEvent::Kind::kDone) << event->error;
      const int before = static_cast<int>(history.size()) - kQuestion[turn];
      EXPECT_EQ(event->result.stats.cached_tokens, std::max(before - 1, 0) / 256 * 256);
      Append(&history, event->result.tokens);
    }
  }
}

TEST_P(Reuse, SequencesThatMakeRoomForOthersEnd) {
  const auto engine = Load(model_, "", 2048);
  SchedulerOptions options;
  options.session.reuse = PromptReuse::kAll;
  const auto scheduler = Scheduler::Start(engine, options);
  std::vector<std::shared_ptr<Stream>> streams;
  for (int i = 0; i < 12; ++i) {
    Request request;
    const std::vector<Token> text = testing::TinyText(700);
    request.prompt.assign(text.begin() + i % 3, text.begin() + i % 3 + 150 + 40 * i);
    request.generate = Greedy(500, i % 2 == 0 ? 3 : 0);
    request.reserve_tokens = 10;
    streams.push_back(scheduler->Submit(request));
  }
  for (const auto& stream : streams) {
    std::optional<StreamEvent> event;
    do {
      event = stream->Next(60);
      ASSERT_TRUE(event.has_value());
    } while (event->kind == StreamEvent::Kind::kToken);
    EXPECT_EQ(event->kind, StreamEvent::Kind::kDone) << event->error;
    EXPECT_EQ(event->result.tokens.size(), 500u);
  }
  EXPECT_GT(scheduler->counters().copied_out, 0);
}

// A copy has not the rows of its last whole chunk that no window sees.
TEST_P(Reuse, CopiesGoOn) {
  const auto engine = Load(model_);
  const std::vector<Token> text = testing::TinyText(1300);
  for (const PromptReuse reuse : {PromptReuse::kPrompts, PromptReuse::kAll}) {
    const auto whole = Open(*engine, reuse), first = Open(*engine, reuse);
    whole->Prefill(text);
    first->Prefill(std::span(text).first(740));
    const auto copy = first->Fork();
    copy->Prefill(std::span(text).subspan(740));
    EXPECT_EQ(copy->CacheDigest(), whole->CacheDigest());
    const auto other = first->Fork();
    const auto own = Open(*engine, PromptReuse::kNone);
    own->Prefill(std::span(text).first(740));
    EXPECT_EQ(other->Generate(Greedy(400, 3)).tokens, own->Generate(Greedy(400, 0)).tokens);
    EXPECT_EQ(other->CacheDigest(), own->CacheDigest());
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Reuse,
                         ::testing::Values("llama-long.gguf", "llama-windows.gguf",
                                           "llama-window.gguf"),
                         [](const auto& model) {
                           std::string name = model.param.substr(0, model.param.find('.'));
                           std::erase(name, '-');
                           return name;
                         });

TEST(ReuseOnDisk, ALaterProcessFindsIt) {
  std::string name = fs::temp_directory_path() / "reuse-XXXXXX";
  const std::string folder = mkdtemp(name.data());
  std::vector<Token> history = Question(0);
  Append(&history,
         Ask(*Load(testing::TinyModel(), folder), history, kAnswer[0], PromptReuse::kAll).tokens);
  Append(&history, Question(1));
  const Outcome cold = Ask(*Load(testing::TinyModel()), history, 100, PromptReuse::kNone);
  const Outcome prompts =
      Ask(*Load(testing::TinyModel(), folder), history, 100, PromptReuse::kPrompts);
  EXPECT_EQ(prompts.cached, 256);
  EXPECT_EQ(prompts.digest, cold.digest);
  fs::remove_all(folder);

  // Anew, as the prompt's own second chunk would now be taken.
  fs::create_directory(folder);
  history = Question(0);
  Outcome expected;
  {
    const auto engine = Load(testing::TinyModel(), folder);
    Append(&history, Ask(*engine, history, kAnswer[0], PromptReuse::kAll).tokens);
    Append(&history, Question(1));
    expected = Ask(*engine, history, 100, PromptReuse::kAll);
    EXPECT_EQ(expected.cached, 512);
  }
  const Outcome restored =
      Ask(*Load(testing::TinyModel(), folder), history, 100, PromptReuse::kAll);
  EXPECT_EQ(restored.cached, 512);
  EXPECT_EQ(restored.tokens, expected.tokens);
  EXPECT_EQ(restored.digest, expected.digest);
  EXPECT_NE(restored.digest, cold.digest);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace quantspec
