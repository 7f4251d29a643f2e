// Sessions that cannot be broken: every way out of a call leaves tokens, cache and logits in step.
#include "quantspec/session.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "quantspec/engine.h"

namespace quantspec {
namespace {

const std::string kModel = std::string(QS_GOLDEN_DIR) + "/models/llama-long.gguf";

std::shared_ptr<const Engine> Load(int cache_tokens, WeightMode weights = WeightMode::kNested) {
  EngineOptions options;
  options.model_path = kModel;
  options.weights = weights;
  options.threads = 2;
  return Engine::Load(ModelFile::Open(options), {cache_tokens, 1});
}

std::vector<Token> Tokens(int count, int salt = 3) {
  std::vector<Token> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 29 + i * i * 7 + salt) % 97);
  return tokens;
}

struct World {
  std::shared_ptr<const Engine> engine = Load(16384);
  SessionOptions options;

  explicit World(CacheKind cache = CacheKind::kHierarchical) {
    options.context = 1024;
    options.cache = cache;
    options.reuse = PromptReuse::kNone;
  }
  std::unique_ptr<Session> Open() const { return engine->Open(options); }
};

GenerateOptions Greedy(int tokens, int gamma = 3) {
  GenerateOptions options;
  options.max_tokens = tokens;
  options.gamma = gamma;
  options.ignore_end = true;
  return options;
}

// The state that an uninterrupted session has: what follows from it must be equal.
struct State {
  std::string digest;
  std::vector<Token> next;
  bool operator==(const State&) const = default;
};

State StateOf(Session& session, int tokens = 40) {
  State state;
  state.next = session.Generate(Greedy(tokens)).tokens;
  state.digest = session.CacheDigest();
  return state;
}

class Sessions : public testing::TestWithParam<CacheKind> {
 protected:
  World world_{GetParam()};
};

TEST_P(Sessions, ACallbackThatThrowsLeavesTheTokensItWasGiven) {
  for (int at = 1; at <= 20; ++at) {
    const auto expected = world_.Open(), thrown = world_.Open();
    expected->Prefill(Tokens(50));
    thrown->Prefill(Tokens(50));
    int seen = 0;
    EXPECT_THROW(thrown->Generate(Greedy(60),
                                  [&](Token) -> bool {
                                    if (++seen == at) throw std::runtime_error("gone");
                                    return true;
                                  }),
                 std::runtime_error);
    expected->Generate(Greedy(at));
    EXPECT_EQ(thrown->length(), expected->length());
    EXPECT_EQ(thrown->CacheDigest(), expected->CacheDigest());
    expected->Prefill(Tokens(30, 5));
    thrown->Prefill(Tokens(30, 5));
    EXPECT_EQ(thrown->length(), 50 + at + 30);
    EXPECT_EQ(StateOf(*thrown), StateOf(*expected)) << "thrown at token " << at;
  }
}

TEST_P(Sessions, APromptThatIsStoppedKeepsItsFinishedChunks) {
  const auto whole = world_.Open();
  const std::vector<Token> prompt = Tokens(700);
  whole->Prefill(prompt);
  const State expected = StateOf(*whole);
  // Three chunks through two layers; nothing stops the last of these slices.
  for (int stop = 1; stop < 6; ++stop) {
    for (const bool throws : {false, true}) {
      const auto session = world_.Open();
      int calls = 0;
      const OnPrefill on_prefill = [&](int, int) {
        if (++calls < stop) return true;
        if (throws) throw std::runtime_error("gone");
        return false;
      };
      if (throws) {
        EXPECT_THROW(session->Prefill(prompt, on_prefill), std::runtime_error);
      } else {
        EXPECT_FALSE(session->Prefill(prompt, on_prefill));
      }
      EXPECT_EQ(session->length() % 256, 0);
      EXPECT_THROW(session->Generate(Greedy(1)), Error);
      const auto rest = std::span<const Token>(prompt).subspan(session->length());
      ASSERT_TRUE(session->Prefill(rest));
      EXPECT_EQ(StateOf(*session), expected) << "stopped at call " << stop;
    }
  }
}

TEST_P(Sessions, AStoppedPromptKeepsThePendingToken) {
  const auto stopped = world_.Open(), plain = world_.Open();
  for (Session* session : {stopped.get(), plain.get()}) {
    session->Prefill(Tokens(40));
    session->Generate(Greedy(10));
  }
  EXPECT_FALSE(stopped->Prefill(Tokens(60, 4), [](int, int) { return false; }));
  EXPECT_EQ(stopped->length(), 49);
  stopped->Prefill(Tokens(60, 4));
  plain->Prefill(Tokens(60, 4));
  EXPECT_EQ(stopped->length(), 110);
  EXPECT_EQ(StateOf(*stopped), StateOf(*plain));
}

TEST_P(Sessions, DraftedRowsAreNeverKept) {
  const auto drafted = world_.Open(), plain = world_.Open();
  for (Session* session : {drafted.get(), plain.get()}) session->Prefill(Tokens(100));
  drafted->Step(Reader::kDraft, Tokens(5, 9));
  EXPECT_THROW(drafted->Rewind(102), Error);
  EXPECT_THROW(drafted->Step(Reader::kTarget, Tokens(2)), Error);
  drafted->Prefill(Tokens(20, 6));
  plain->Prefill(Tokens(20, 6));
  EXPECT_EQ(StateOf(*drafted), StateOf(*plain));
}

TEST_P(Sessions, ADraftStepKeepsThePendingTokenAndTheRoom) {
  world_.options.context = 200;
  const auto drafted = world_.Open(), plain = world_.Open();
  for (Session* session : {drafted.get(), plain.get()}) {
    session->Prefill(Tokens(170));
    session->Generate(Greedy(10));
  }
  drafted->Step(Reader::kDraft, Tokens(12, 9));
  for (Session* session : {drafted.get(), plain.get()}) {
    session->Prefill(Tokens(20, 6));
    EXPECT_EQ(session->length(), 200);
  }
  EXPECT_EQ(drafted->CacheDigest(), plain->CacheDigest());
}

TEST_P(Sessions, APromptStoppedBeforeItsFirstChunkChangesNothing) {
  const auto stopped = world_.Open(), plain = world_.Open();
  for (Session* session : {stopped.get(), plain.get()}) session->Prefill(Tokens(100));
  EXPECT_FALSE(stopped->Prefill(Tokens(50, 4), [](int, int) { return false; }));
  EXPECT_EQ(StateOf(*stopped), StateOf(*plain));
}

TEST_P(Sessions, WhatTheTargetSteppedOverStays) {
  const auto stepped = world_.Open(), rewound = world_.Open();
  for (Session* session : {stepped.get(), rewound.get()}) {
    session->Prefill(Tokens(100));
    session->Step(Reader::kTarget, Tokens(5, 9));
  }
  rewound->Rewind(105);
  EXPECT_EQ(StateOf(*stepped), StateOf(*rewound));
}

TEST_P(Sessions, RewindTakesWhatTheCacheCanCutAndRefusesTheRest) {
  const auto session = world_.Open(), fresh = world_.Open();
  session->Prefill(Tokens(600));
  session->Generate(Greedy(20));
  const bool is_full = GetParam() == CacheKind::kFull;
  for (const int length : {90, 300, 600}) {
    if (is_full) break;
    try {
      session->Rewind(length);
      ADD_FAILURE() << length;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(error.what()).find("multiple of 256"), std::string::npos);
    }
  }
  EXPECT_EQ(session->length(), 619);
  EXPECT_THROW(session->Rewind(-1), Error);
  EXPECT_THROW(session->Rewind(620), Error);
  session->Rewind(619);
  session->Rewind(is_full ? 300 : 256);
  EXPECT_THROW(session->Generate(Greedy(1)), Error) << "no logits at hand";
  fresh->Prefill(std::span<const Token>(Tokens(600)).first(session->length()));
  session->Prefill(Tokens(33, 8));
  fresh->Prefill(Tokens(33, 8));
  EXPECT_EQ(StateOf(*session), StateOf(*fresh));
}

TEST_P(Sessions, AForkGoesItsOwnWay) {
  const auto first = world_.Open(), alone = world_.Open();
  for (Session* session : {first.get(), alone.get()}) {
    session->Prefill(Tokens(400));
    session->Generate(Greedy(200));
  }
  const auto second = first->Fork();
  EXPECT_EQ(second->CacheDigest(), first->CacheDigest());
  second->Prefill(Tokens(50, 1));
  EXPECT_EQ(StateOf(*first, 150), StateOf(*alone, 150));
  alone->Clear();
  alone->Prefill(Tokens(400));
  alone->Generate(Greedy(200));
  alone->Prefill(Tokens(50, 1));
  EXPECT_EQ(StateOf(*second, 150), StateOf(*alone, 150));
}

TEST_P(Sessions, AFullContextEndsGenerationAndNothingElse) {
  world_.options.context = 300;
  const auto session = world_.Open();
  session->Prefill(Tokens(280));
  const GenerateResult result = session->Generate(Greedy(100));
  EXPECT_TRUE(result.context_full);
  EXPECT_EQ(result.tokens.size(), 21u);
  EXPECT_TRUE(session->Generate(Greedy(100)).context_full);
  EXPECT_THROW(session->Prefill(Tokens(1)), Error);
  EXPECT_EQ(session->length(), 300);
}

TEST_P(Sessions, SeveralThreadsTakeTurns) {
  const auto alone = world_.Open();
  alone->Prefill(Tokens(300));
  const State expected = StateOf(*alone);
  std::atomic<int> equal{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      const auto session = world_.Open();
      session->Prefill(Tokens(100 * i + 17, i));
      session->Generate(Greedy(10));
      session->Clear();
      session->Prefill(Tokens(300));
      equal += StateOf(*session) == expected ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, 3);
}

INSTANTIATE_TEST_SUITE_P(Caches, Sessions,
                         testing::Values(CacheKind::kHierarchical, CacheKind::kFull),
                         [](const auto& kind) {
                           return kind.param == CacheKind::kFull ? "Full" : "Hierarchical";
                         });

TEST(PromptReuse, ASecondSessionTakesTheChunksOfTheFirst) {
  World world;
  world.options.reuse = PromptReuse::kPrompts;
  const std::vector<Token> prompt = Tokens(700);
  const auto first = world.Open(), second = world.Open();
  first->Prefill(prompt);
  second->Prefill(prompt);
  const State expected = StateOf(*first);
  GenerateOptions options = Greedy(40);
  const GenerateResult result = second->Generate(options);
  EXPECT_EQ(result.stats.cached_tokens, 512);
  EXPECT_EQ(result.tokens, expected.next);
  EXPECT_EQ(second->CacheDigest(), expected.digest);
  const auto third = world.Open();
  third->Prefill(std::span<const Token>(prompt).first(512));
  EXPECT_EQ(third->Generate(Greedy(1)).stats.cached_tokens, 256) << "the last row is computed";
}

TEST(PromptReuse, StoredChunksGiveWayToSequences) {
  World world;
  world.engine = Load(2048);
  world.options.reuse = PromptReuse::kPrompts;
  State expected;
  for (int round = 0; round < 6; ++round) {
    const auto session = world.Open();
    for (int i = 0; i < 3; ++i) {
      session->Clear();
      session->Prefill(Tokens(900, round * 3 + i));
    }
    session->Clear();
    session->Prefill(Tokens(900, 1));
    const State state = StateOf(*session);
    if (round == 0) expected = state;
    EXPECT_EQ(state, expected);
  }
}

TEST(PromptReuse, GeneratedRowsAreNotShared) {
  World world;
  world.options.reuse = PromptReuse::kPrompts;
  const auto first = world.Open();
  first->Prefill(Tokens(300));
  const std::vector<Token> answer = first->Generate(Greedy(400)).tokens;
  first->Prefill(Tokens(200, 5));
  std::vector<Token> all = Tokens(300);
  all.insert(all.end(), answer.begin(), answer.end());
  const auto second = world.Open();
  second->Prefill(all);
  EXPECT_EQ(second->Generate(Greedy(1)).stats.cached_tokens, 256);
}

TEST(Capacity, ASessionLargerThanTheCacheIsRefused) {
  const auto engine = Load(512);
  SessionOptions options;
  options.context = 1000;
  EXPECT_THROW(engine->Open(options), Error);
  options.context = 500;
  const auto session = engine->Open(options);
  EXPECT_THROW(engine->Open(options), Error) << "its groups are reserved";
}

}  // namespace
}  // namespace quantspec
