// Who comes first, who makes room, and that no answer depends on it.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "exactness/models.h"
#include "quantspec/scheduler.h"

namespace quantspec {
namespace {

constexpr double kLong = 600;  // seconds; nothing waits so long

struct Answer {
  std::vector<Token> tokens;
  std::string digest;
  GenerateResult result;
  StreamEvent::Kind end = StreamEvent::Kind::kToken;
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
    answer.result = event->result;
  }
  return answer;
}

class SchedulerRoom : public ::testing::Test {
 protected:
  // An engine whose cache holds `tokens`.
  void Load(int tokens, int sequences) {
    EngineOptions options;
    options.model_path = testing::TinyModel();
    options.threads = 2;
    engine_ = Engine::Load(ModelFile::Open(options), {tokens, sequences});
  }

  Request RequestOf(size_t first, size_t length, int tokens) const {
    Request request;
    request.prompt.assign(text_.begin() + static_cast<std::ptrdiff_t>(first),
                          text_.begin() + static_cast<std::ptrdiff_t>(first + length));
    request.generate.max_tokens = tokens;
    request.generate.ignore_end = true;
    request.wants_digest = true;
    return request;
  }

  // By a session of an engine with room for everything.
  static Answer Alone(const Request& request) {
    EngineOptions options;
    options.model_path = testing::TinyModel();
    options.threads = 2;
    const auto engine = Engine::Load(ModelFile::Open(options));
    SessionOptions session_options;
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

  std::vector<Token> text_ = testing::TinyText(3000);
  std::shared_ptr<const Engine> engine_;
};

TEST_F(SchedulerRoom, YoungSequencesMakeRoomAndComeBack) {
  Load(2048, 4);
  for (const int gamma : {0, 3, kGammaAuto}) {
    const auto scheduler = Scheduler::Start(engine_, {});
    std::vector<Request> requests;
    std::vector<std::shared_ptr<Stream>> streams;
    for (size_t i = 0; i < 4; ++i) {
      requests.push_back(RequestOf(100 * i, 300 + 40 * i, 700));
      requests.back().generate.gamma = gamma;
      requests.back().reserve_tokens = 100;
      streams.push_back(scheduler->Submit(requests.back()));
    }
    std::vector<Answer> answers(streams.size());
    std::vector<std::thread> readers;
    for (size_t i = 0; i < streams.size(); ++i) {
      readers.emplace_back([&, i] { answers[i] = Read(*streams[i]); });
    }
    for (std::thread& reader : readers) reader.join();
    EXPECT_GT(scheduler->counters().copied_out, 0);
    for (size_t i = 0; i < streams.size(); ++i) {
      const Answer alone = Alone(requests[i]);
      EXPECT_EQ(answers[i].end, StreamEvent::Kind::kDone);
      EXPECT_EQ(answers[i].tokens, alone.tokens) << i << ", gamma " << gamma;
      EXPECT_EQ(answers[i].digest, alone.digest) << i << ", gamma " << gamma;
    }
    const SchedulerCounters counters = scheduler->counters();
    EXPECT_EQ(counters.pool_free, counters.pool_groups) << "all room is back";
    EXPECT_EQ(counters.waiting, 0);
  }
}

TEST_F(SchedulerRoom, AnAnswerEndsWhereNobodyCanMakeRoom) {
  Load(1024, 2);
  SessionOptions session_options;
  session_options.context = 512;
  const auto session = engine_->Open(session_options);
  const auto scheduler = Scheduler::Start(engine_, {});
  Request request = RequestOf(0, 200, 800);
  request.reserve_tokens = 100;
  const Answer answer = Read(*scheduler->Submit(request));
  EXPECT_EQ(answer.end, StreamEvent::Kind::kDone);
  EXPECT_EQ(answer.result.finish, FinishReason::kLength);
  EXPECT_TRUE(answer.result.context_full);
  EXPECT_GT(answer.tokens.size(), 300u);
  EXPECT_LT(answer.tokens.size(), 600u);
  const Answer alone = Alone(request);
  EXPECT_TRUE(std::equal(answer.tokens.begin(), answer.tokens.end(), alone.tokens.begin()));
}

// Full streams hold both back until the older one, with its next token read, needs a group that the
// other has, which is given up at that moment.
TEST_F(SchedulerRoom, AnAnswerGoesOnWithTheRoomOfOneThatWasGivenUp) {
  Load(1024, 2);
  SchedulerOptions options;
  options.stream_tokens = kMaxGamma + 2;  // two tokens that nobody read end a sequence's turns
  Request request = RequestOf(0, 200, 500);
  request.generate.gamma = 0;
  request.reserve_tokens = 100;
  const Answer alone = Alone(request);
  for (int run = 0; run < 5; ++run) {
    const auto scheduler = Scheduler::Start(engine_, options);
    const auto stream = scheduler->Submit(request);
    Answer answer;
    answer.tokens.push_back(stream->Next(kLong)->token);
    Request other = RequestOf(1000, 500, 140);  // of 5 groups of the 8
    other.generate.gamma = 0;
    const auto younger = scheduler->Submit(other);
    while (scheduler->counters().decoding < 2) std::this_thread::yield();
    // At 200 + 312 tokens the older one has three groups, and needs a fourth.
    while (answer.tokens.size() < 310) answer.tokens.push_back(stream->Next(kLong)->token);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    answer.tokens.push_back(stream->Next(kLong)->token);
    younger->Cancel();
    const Answer rest = Read(*stream);
    answer.tokens.insert(answer.tokens.end(), rest.tokens.begin(), rest.tokens.end());
    EXPECT_FALSE(rest.result.context_full) << "after " << answer.tokens.size();
    EXPECT_EQ(answer.tokens, alone.tokens);
    EXPECT_EQ(rest.digest, alone.digest);
  }
}

TEST_F(SchedulerRoom, SharedDocumentsAreReservedOnce) {
  Load(2048, 4);
  const auto scheduler = Scheduler::Start(engine_, {});
  Request longer = RequestOf(0, 1100, 600);
  longer.reserve_tokens = 100;
  const auto first = scheduler->Submit(longer);
  while (first->prompt_done() < 1100) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // 8 groups are shared: each of them needs two more. Alone, each would need 9.
  std::vector<std::shared_ptr<Stream>> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(scheduler->Submit(RequestOf(0, 1100, 120)));
  int most = 0;
  while (most < 4) {
    const SchedulerCounters counters = scheduler->counters();
    most = std::max(most, counters.reading + counters.decoding);
    if (counters.finished > 0) break;
  }
  const Answer alone = Alone(RequestOf(0, 1100, 120));
  for (const auto& stream : streams) {
    const Answer answer = Read(*stream);
    EXPECT_EQ(answer.tokens, alone.tokens);
    EXPECT_EQ(answer.digest, alone.digest);
    EXPECT_EQ(answer.result.stats.cached_tokens, 1024);
  }
  EXPECT_EQ(Read(*first).digest, Alone(longer).digest);
  EXPECT_EQ(most, 4) << "they did not fit together";
}

// Two prompts that count on chunks of others, which are gone before they get there, and a pool that
// has no room for both.
TEST_F(SchedulerRoom, PromptsThatLostWhatTheySharedComeToTheirEnds) {
  Load(2048, 6);
  for (int run = 0; run < 6; ++run) {
    const auto scheduler = Scheduler::Start(engine_, {});
    std::vector<std::shared_ptr<Stream>> streams;
    const auto first = scheduler->Submit(RequestOf(0, 700, 8));
    const auto second = scheduler->Submit(RequestOf(900, 700, 8));
    while (first->prompt_done() + second->prompt_done() < 1300) std::this_thread::yield();
    std::vector<Request> requests;
    for (size_t i = 0; i < 4; ++i) {
      requests.push_back(RequestOf(i % 2 == 0 ? 0 : 900, 1200, 6));
      streams.push_back(scheduler->Submit(requests.back()));
    }
    first->Cancel();
    second->Cancel();
    for (size_t i = 0; i < streams.size(); ++i) {
      const Answer answer = Read(*streams[i]);
      EXPECT_EQ(answer.end, StreamEvent::Kind::kDone);
      EXPECT_EQ(answer.tokens, Alone(requests[i]).tokens);
      EXPECT_EQ(answer.digest, Alone(requests[i]).digest);
    }
    EXPECT_EQ(scheduler->counters().pool_free, scheduler->counters().pool_groups);
  }
}

TEST_F(SchedulerRoom, AShortPromptDoesNotWaitForALongOne) {
  Load(8192, 4);
  const auto scheduler = Scheduler::Start(engine_, {});
  const auto book = scheduler->Submit(RequestOf(0, 2000, 4));
  const auto other = scheduler->Submit(RequestOf(500, 1900, 4));
  const auto question = scheduler->Submit(RequestOf(7, 60, 1));
  ASSERT_TRUE(question->Next(kLong));
  EXPECT_LT(book->prompt_done(), 2000);
  EXPECT_LT(other->prompt_done(), 1900);
  EXPECT_EQ(Read(*book).tokens, Alone(RequestOf(0, 2000, 4)).tokens);
  EXPECT_EQ(Read(*other).tokens, Alone(RequestOf(500, 1900, 4)).tokens);
}

TEST_F(SchedulerRoom, ACancelledPromptLeavesItsFinishedChunks) {
  Load(4096, 2);
  const auto scheduler = Scheduler::Start(engine_, {});
  const auto stream = scheduler->Submit(RequestOf(0, 2000, 4));
  while (stream->prompt_done() < 1100) std::this_thread::yield();
  stream->Cancel();
  EXPECT_EQ(Read(*stream).end, StreamEvent::Kind::kCancelled);
  const Answer again = Read(*scheduler->Submit(RequestOf(0, 2000, 4)));
  EXPECT_GE(again.result.stats.cached_tokens, 1024);
  EXPECT_EQ(again.digest, Alone(RequestOf(0, 2000, 4)).digest);
}

TEST_F(SchedulerRoom, SaltsKeepPromptsApart) {
  Load(4096, 2);
  const auto scheduler = Scheduler::Start(engine_, {});
  Request request = RequestOf(0, 1000, 4);
  request.salt = "one";
  EXPECT_EQ(Read(*scheduler->Submit(request)).result.stats.cached_tokens, 0);
  EXPECT_EQ(Read(*scheduler->Submit(request)).result.stats.cached_tokens, 768);
  request.salt = "two";
  EXPECT_EQ(Read(*scheduler->Submit(request)).result.stats.cached_tokens, 0);
}

TEST_F(SchedulerRoom, CountsWhatMonitoringAsksFor) {
  Load(4096, 2);
  const auto scheduler = Scheduler::Start(engine_, {});
  Request request = RequestOf(0, 500, 60);
  request.generate.gamma = 3;
  const Answer answer = Read(*scheduler->Submit(request));
  const SchedulerCounters counters = scheduler->counters();
  EXPECT_EQ(counters.drafted, answer.result.stats.drafted);
  EXPECT_EQ(counters.accepted, answer.result.stats.accepted);
  EXPECT_GT(counters.draft_rounds, 0);
  EXPECT_GE(counters.pass_rows, counters.pass_sequences);
  EXPECT_EQ(counters.pool_groups, 32);
  EXPECT_GT(answer.result.stats.prefill_s, 0);
  EXPECT_GE(answer.result.stats.queue_s, 0);
}

}  // namespace
}  // namespace quantspec
