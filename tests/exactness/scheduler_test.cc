// Answers of the scheduler do not depend on who else is there, and its requests end as they should.
#include "quantspec/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "exactness/models.h"

namespace quantspec {
namespace {

constexpr int kSequences = 8;
constexpr double kLong = 600;  // seconds; nothing waits so long

struct Answer {
  std::vector<Token> tokens;
  std::string digest;
  StreamEvent::Kind end = StreamEvent::Kind::kToken;  // kToken: none came
  StreamEvent last;
};

Answer Read(Stream& stream) {
  Answer answer;
  while (auto event = stream.Next(kLong)) {
    if (event->kind == StreamEvent::Kind::kToken) {
      answer.tokens.push_back(event->token);
      continue;
    }
    answer.end = event->kind;
    answer.digest = event->digest;
    answer.last = std::move(*event);
    break;
  }
  return answer;
}

struct World {
  std::vector<Token> text;
  std::shared_ptr<const Engine> engine;
  SchedulerOptions options;

  World(const std::string& model, std::vector<Token> words, WeightMode weights, int tokens,
        CacheKind cache = CacheKind::kHierarchical)
      : text(std::move(words)) {
    EngineOptions engine_options;
    engine_options.model_path = model;
    engine_options.weights = weights;
    engine_options.threads = 2;
    engine = Engine::Load(ModelFile::Open(engine_options), {tokens, kSequences});
    options.session.cache = cache;
  }

  Request RequestOf(int index, int gamma, int tokens = 60) const {
    Request request;
    const auto length = static_cast<size_t>(40 + 83 * index);
    request.prompt.assign(text.begin() + 7 * index,
                          text.begin() + 7 * index + static_cast<std::ptrdiff_t>(length));
    request.generate.max_tokens = tokens + 9 * index;
    request.generate.gamma = gamma;
    request.generate.ignore_end = true;
    request.generate.sampling.temperature = index % 3 == 2 ? 0.8f : 0.0f;
    request.generate.sampling.seed = static_cast<uint64_t>(index);
    request.wants_digest = true;
    return request;
  }

  // What a session by itself answers.
  Answer Alone(const Request& request) const {
    SessionOptions session_options = options.session;
    session_options.reuse = PromptReuse::kNone;
    session_options.context = static_cast<int>(request.prompt.size()) + request.generate.max_tokens;
    const auto session = engine->Open(session_options);
    session->Prefill(request.prompt);
    GenerateOptions plain = request.generate;
    plain.gamma = 0;
    Answer answer;
    answer.tokens = session->Generate(plain).tokens;
    answer.digest = session->CacheDigest();
    return answer;
  }
};

void ExpectAnswersOfEachAlone(const World& world, int tokens) {
  std::map<int, Answer> alone;
  for (int i = 0; i < kSequences; ++i) alone[i] = world.Alone(world.RequestOf(i, 0, tokens));
  for (const int gamma : {0, 3, kGammaAuto}) {
    const auto scheduler = Scheduler::Start(world.engine, world.options);
    std::vector<std::shared_ptr<Stream>> streams;
    std::vector<Answer> answers(kSequences);
    std::vector<std::thread> readers;
    for (int i = 0; i < kSequences; ++i) {
      streams.push_back(scheduler->Submit(world.RequestOf(i, gamma, tokens)));
      readers.emplace_back([&answers, i, stream = streams.back()] { answers[i] = Read(*stream); });
      // The later ones arrive while the earlier ones decode.
      if (i >= 3) std::this_thread::sleep_for(std::chrono::milliseconds(15));
    }
    for (std::thread& reader : readers) reader.join();
    for (int i = 0; i < kSequences; ++i) {
      ASSERT_EQ(answers[i].end, StreamEvent::Kind::kDone) << answers[i].last.error;
      EXPECT_EQ(answers[i].last.result.tokens, alone[i].tokens) << i << ", gamma " << gamma;
      EXPECT_EQ(answers[i].digest, alone[i].digest) << i << ", gamma " << gamma;
    }
    const SchedulerCounters counters = scheduler->counters();
    EXPECT_GT(counters.pass_sequences, counters.passes) << "nobody ever shared a pass";
  }
}

TEST(Scheduler, GivesEachTheAnswerThatItWouldHaveAlone) {
  for (const WeightMode weights : {WeightMode::kAuto, WeightMode::kNested, WeightMode::kBf16}) {
    ExpectAnswersOfEachAlone(
        World(testing::TinyModel(), testing::TinyText(1000), weights, 8 * 1024), 60);
  }
  ExpectAnswersOfEachAlone(World(testing::TinyModel(), testing::TinyText(1000), WeightMode::kAuto,
                                 8 * 1024, CacheKind::kFull),
                           60);
}

TEST(Scheduler, GivesEachTheAnswerThatItWouldHaveAloneOnModelsWithWindows) {
  for (const std::string& model : {testing::ModelWithWindows(), testing::ModelOfWindows()}) {
    for (const CacheKind cache : {CacheKind::kHierarchical, CacheKind::kFull}) {
      ExpectAnswersOfEachAlone(
          World(model, testing::TinyText(1000), WeightMode::kAuto, 8 * 1024, cache), 60);
    }
  }
}

TEST(Scheduler, GivesEachTheAnswerThatItWouldHaveAloneOnTheDemoModel) {
  const std::string model = testing::DemoModel();
  if (model.empty()) GTEST_SKIP() << "SKIPPED: QUANTSPEC_TEST_MODEL names no model";
  ExpectAnswersOfEachAlone(
      World(model, testing::DemoText(model, 1000), WeightMode::kAuto, 8 * 1024),
      /*tokens=*/120);  // long enough that the next prompt is read before an answer ends
}

class SchedulerEnds : public ::testing::Test {
 protected:
  World world_{testing::TinyModel(), testing::TinyText(2000), WeightMode::kNested, 4096};
};

TEST_F(SchedulerEnds, CancelEndsARequestAndGivesItsPlaceBack) {
  const auto scheduler = Scheduler::Start(world_.engine, world_.options);
  for (int i = 0; i < 20; ++i) {
    const auto stream = scheduler->Submit(world_.RequestOf(i % 8, 3, 500));
    if (i % 2 == 0) stream->Next(kLong);
    stream->Cancel();
    EXPECT_EQ(Read(*stream).end, StreamEvent::Kind::kCancelled);
  }
  const Answer answer = Read(*scheduler->Submit(world_.RequestOf(2, 0)));
  EXPECT_EQ(answer.end, StreamEvent::Kind::kDone);
  EXPECT_EQ(answer.tokens, world_.Alone(world_.RequestOf(2, 0)).tokens);
  EXPECT_EQ(scheduler->counters().cancelled + scheduler->counters().finished, 21);
}

// The answer and its cache are those of as many tokens, however many a round brings.
TEST_F(SchedulerEnds, AStopTextEndsAnAnswerWithItsToken) {
  const Tokenizer& tokenizer = world_.engine->file().tokenizer();
  const std::vector<Token> whole = world_.Alone(world_.RequestOf(3, 0, 200)).tokens;
  std::string text;
  std::vector<size_t> ends;  // of the text up to each token
  TextStream stream(tokenizer);
  for (const Token token : whole) {
    if (!tokenizer.IsSpecial(token)) text += stream.Push(token);
    ends.push_back(text.size());
  }
  for (const size_t at : {0, 1, 57, 150}) {
    Request plain = world_.RequestOf(3, 0, 200);
    const std::string stop = text.substr(at, 7);
    const size_t end = text.find(stop) + stop.size();
    const auto count = std::ranges::lower_bound(ends, end) - ends.begin() + 1;
    plain.generate.max_tokens = static_cast<int>(count);
    const Answer expected = world_.Alone(plain);
    for (const int gamma : {0, 3, 16, kGammaAuto}) {
      const auto scheduler = Scheduler::Start(world_.engine, world_.options);
      const auto other = scheduler->Submit(world_.RequestOf(5, gamma, 100));
      Request request = world_.RequestOf(3, gamma, 200);
      request.stops = {"\x01\x02 never", stop};
      const Answer answer = Read(*scheduler->Submit(request));
      EXPECT_EQ(answer.end, StreamEvent::Kind::kDone);
      EXPECT_EQ(answer.last.result.finish, FinishReason::kStop);
      EXPECT_EQ(answer.tokens, expected.tokens) << at << ", gamma " << gamma;
      EXPECT_EQ(answer.last.result.tokens, expected.tokens);
      EXPECT_EQ(answer.digest, expected.digest) << at << ", gamma " << gamma;
      EXPECT_EQ(Read(*other).tokens, world_.Alone(world_.RequestOf(5, 0, 100)).tokens);
    }
  }
}

TEST_F(SchedulerEnds, CountsTheTokensOfItsTurns) {
  const auto scheduler = Scheduler::Start(world_.engine, world_.options);
  int64_t tokens = 0;
  for (int i = 0; i < 4; ++i) {
    const Answer answer = Read(*scheduler->Submit(world_.RequestOf(7, 3)));
    const GenerateStats& stats = answer.last.result.stats;
    tokens += stats.prompt_tokens - stats.cached_tokens + stats.generated_tokens;
  }
  const SchedulerCounters counters = scheduler->counters();
  EXPECT_EQ(counters.turn_tokens, tokens);
  const int64_t turns = std::accumulate(counters.turns.begin(), counters.turns.end(), int64_t{0});
  EXPECT_GE(turns, counters.draft_rounds);
  EXPECT_LE(turns, tokens);
  EXPECT_GT(counters.turns[0] + counters.turns[1], 0) << "no turn of a few tokens";
}

TEST_F(SchedulerEnds, GivingAStreamUpCancels) {
  const auto scheduler = Scheduler::Start(world_.engine, world_.options);
  for (int i = 0; i < 12; ++i) scheduler->Submit(world_.RequestOf(i % 8, 3, 1000));
  EXPECT_EQ(Read(*scheduler->Submit(world_.RequestOf(1, 0))).end, StreamEvent::Kind::kDone);
}

TEST_F(SchedulerEnds, ASlowReaderPausesItsSequenceAlone) {
  world_.options.stream_tokens = kMaxGamma + 2;
  const auto scheduler = Scheduler::Start(world_.engine, world_.options);
  const auto slow = scheduler->Submit(world_.RequestOf(0, 3, 200));
  for (int i = 1; i < 4; ++i) {
    EXPECT_EQ(Read(*scheduler->Submit(world_.RequestOf(i, 3))).end, StreamEvent::Kind::kDone);
  }
  EXPECT_EQ(Read(*slow).tokens, world_.Alone(world_.RequestOf(0, 0, 200)).tokens);
}

// With one place, which a paused request or a session holds until it goes.
TEST_F(SchedulerEnds, AQueuedRequestGetsThePlaceThatIsGivenBack) {
  EngineOptions options;
  options.model_path = testing::TinyModel();
  const std::shared_ptr<const Engine> engine = Engine::Load(ModelFile::Open(options), {1024, 1});
  world_.options.stream_tokens = kMaxGamma + 2;
  const auto scheduler = Scheduler::Start(engine, world_.options);
  const auto paused = scheduler->Submit(world_.RequestOf(0, 3, 200));
  const auto second = scheduler->Submit(world_.RequestOf(1, 3));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(scheduler->counters().queued, 1);
  paused->Cancel();
  EXPECT_EQ(Read(*second).end, StreamEvent::Kind::kDone);

  SessionOptions session_options;
  session_options.context = 1000;
  auto session = engine->Open(session_options);
  const auto third = scheduler->Submit(world_.RequestOf(2, 3));
  EXPECT_FALSE(third->Next(0.2)) << "the session holds the place";
  session.reset();
  EXPECT_EQ(Read(*third).end, StreamEvent::Kind::kDone);
}

TEST_F(SchedulerEnds, CancelledRequestsLeaveTheQueueAtOnce) {
  world_.options.max_queue = 20;
  const auto scheduler = Scheduler::Start(world_.engine, world_.options);
  std::vector<std::shared_ptr<Stream>> streams;
  for (int i = 0; i < 20; ++i) streams.push_back(scheduler->Submit(world_.RequestOf(7, 0, 1000)));
  for (const auto& stream : streams) stream->Cancel();
  for (const auto& stream : streams) EXPECT_EQ(Read(*stream).end, StreamEvent::Kind::kCancelled);
}

TEST_F(SchedulerEnds, RefusesWhatCannotRun) {
  world_.options.max_queue = 2;
  const auto scheduler = Scheduler::Start(world_.engine, world_.options);
  const auto kind_of = [&](const Request& request) {
    try {
      scheduler->Submit(request);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kIo;
  };
  Request request = world_.RequestOf(0, 3);
  request.prompt.clear();
  EXPECT_EQ(kind_of(request), ErrorKind::kUsage);
  request = world_.RequestOf(0, 3);
  request.prompt[3] = 260;
  EXPECT_EQ(kind_of(request), ErrorKind::kUsage);
  request = world_.RequestOf(0, 3);
  request.stops = {"x", ""};
  EXPECT_EQ(kind_of(request), ErrorKind::kUsage);
  request = world_.RequestOf(0, 17);
  EXPECT_EQ(kind_of(request), ErrorKind::kUsage);
  request = world_.RequestOf(0, 3);
  request.prompt.assign(3000, 5);
  EXPECT_EQ(kind_of(request), ErrorKind::kUsage) << "beyond the model's context";

  std::vector<std::shared_ptr<Stream>> streams;
  EXPECT_THROW(
      {
        for (int i = 0; i < 200; ++i)
          streams.push_back(scheduler->Submit(world_.RequestOf(7, 3, 800)));
      },
      Error);
}

TEST_F(SchedulerEnds, EndsAllRequestsWhenItEnds) {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    const auto scheduler = Scheduler::Start(world_.engine, world_.options);
    for (int i = 0; i < 20; ++i)
      streams.push_back(scheduler->Submit(world_.RequestOf(i % 8, 3, 1000)));
  }
  for (const auto& stream : streams) {
    EXPECT_NE(Read(*stream).end, StreamEvent::Kind::kToken);
    stream->Cancel();
  }
}

// One thread reads many streams: it waits for wake alone, and Next(0) never waits.
TEST_F(SchedulerEnds, WakesTheReaderOfManyStreams) {
  std::mutex mutex;
  std::condition_variable changed;
  std::set<uint64_t> ready;
  world_.options.wake = [&](std::span<const uint64_t> tags) {
    const std::lock_guard<std::mutex> guard(mutex);
    ready.insert(tags.begin(), tags.end());
    changed.notify_one();
  };
  const auto scheduler = Scheduler::Start(world_.engine, world_.options);
  std::vector<std::shared_ptr<Stream>> streams;
  for (int i = 0; i <= kSequences; ++i) {
    Request request = world_.RequestOf(std::min(i, 7), 3);
    request.tag = static_cast<uint64_t>(i);
    streams.push_back(scheduler->Submit(std::move(request)));
  }
  streams.back()->Cancel();
  std::vector<std::vector<Token>> tokens(streams.size());
  for (size_t ended = 0; ended < streams.size();) {
    std::set<uint64_t> woken;
    {
      std::unique_lock<std::mutex> guard(mutex);
      ASSERT_TRUE(changed.wait_for(guard, std::chrono::seconds(60), [&] { return !ready.empty(); }))
          << "events came without a wake";
      woken.swap(ready);
    }
    for (const uint64_t i : woken) {
      while (const auto event = streams[i]->Next(0)) {
        if (event->kind == StreamEvent::Kind::kToken) tokens[i].push_back(event->token);
        if (event->kind != StreamEvent::Kind::kToken) ++ended;
      }
    }
  }
  for (int i = 0; i < kSequences; ++i) {
    EXPECT_EQ(tokens[static_cast<size_t>(i)], world_.Alone(world_.RequestOf(i, 0)).tokens);
  }
}

TEST_F(SchedulerEnds, SharesDocumentsBetweenRequests) {
  const auto scheduler = Scheduler::Start(world_.engine, world_.options);
  const Request request = world_.RequestOf(7, 3);
  const Answer first = Read(*scheduler->Submit(request));
  const Answer second = Read(*scheduler->Submit(request));
  EXPECT_EQ(second.tokens, first.tokens);
  EXPECT_EQ(second.digest, first.digest);
  EXPECT_EQ(second.last.result.stats.cached_tokens, 512);
  EXPECT_EQ(scheduler->counters().cached_tokens, 512);
}

}  // namespace
}  // namespace quantspec
