#include "server/api/generation.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

namespace quantspec::server {
namespace {

constexpr double kKeepAlive_s = 10;
constexpr size_t kMostUnsent = 64 * 1024;  // bytes; beyond, events stay in the scheduler's queues

const char* IdPrefix(Dialect dialect) { return dialect == Dialect::kChat ? "chatcmpl-" : "cmpl-"; }

}  // namespace

double NowSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Generation::Answer {
  Answer(const Tokenizer& tokenizer, const std::vector<std::string>& stops)
      : text(tokenizer, stops) {}

  int index = 0;
  std::shared_ptr<Stream> stream;
  AnswerText text;
  std::string whole;                // of a plain request
  std::vector<ScoredToken> scored;  // the same
  int prompt_tokens = 0;
  int reserved = 0;
  int prompt_done = 0;  // as progress was last told
  double first_s = 0, last_s = 0;
  int64_t last_pump = 0;
  bool is_started = false;
  bool is_over = false;
};

Generation::Generation(uint64_t tag, Order order, std::shared_ptr<Exchange> exchange,
                       const Floor& floor)
    : tag_(tag), order_(std::move(order)), exchange_(std::move(exchange)), floor_(floor) {
  ResponseHead head;
  head.id = RandomId(IdPrefix(order_.dialect));
  head.created = std::time(nullptr);
  head.model = floor_.served.name;
  writer_ = MakeWriter(order_, floor_.served.file->tokenizer(), head);
  start_s_ = NowSeconds();
}

Generation::~Generation() = default;

Request Generation::RequestOf(const Answer& answer, size_t prompt) const {
  Request request;
  request.prompt = order_.prompts[prompt];
  request.generate = order_.generate;
  const int room = floor_.served.context - static_cast<int>(request.prompt.size());
  request.generate.max_tokens = std::min(request.generate.max_tokens, room);
  // Answers to one prompt differ; the first is that of a request for one.
  request.generate.sampling.seed += static_cast<uint64_t>(answer.index % order_.answers);
  request.wants_digest = order_.wants_digest;
  request.reserve_tokens = std::min(order_.reserve_tokens, request.generate.max_tokens);
  request.stops = order_.stops;
  request.salt = order_.salt;
  request.tag = tag_;
  return request;
}

void Generation::Submit() {
  const Tokenizer& tokenizer = floor_.served.file->tokenizer();
  for (size_t prompt = 0; prompt < order_.prompts.size(); ++prompt) {
    for (int i = 0; i < order_.answers; ++i) {
      auto answer = std::make_unique<Answer>(tokenizer, order_.stops);
      answer->index = static_cast<int>(answers_.size());
      answer->prompt_tokens = static_cast<int>(order_.prompts[prompt].size());
      Request request = RequestOf(*answer, prompt);
      const int most = request.generate.max_tokens;
      answer->reserved =
          answer->prompt_tokens + (request.reserve_tokens > 0 ? request.reserve_tokens : most);
      answer->stream = floor_.scheduler.Submit(std::move(request));
      answers_.push_back(std::move(answer));
    }
  }
}

void Generation::Start() {
  const std::shared_ptr<Generation> self = shared_from_this();
  if (exchange_->is_closed()) return GiveUp();
  try {
    Submit();
  } catch (const Error& error) {
    return Fail(ErrorOf(error.kind(), error.what()));
  }
  exchange_->Watch([self] { self->GiveUp(); }, [self] { self->Pump(); });
  if (order_.streams) {
    HttpResponse head;
    head.type = "text/event-stream";
    head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
    is_begun_ = true;
    written_s_ = NowSeconds();
    exchange_->Begin(head);
  }
  Pump();
}

void Generation::Pump() {
  const std::shared_ptr<Generation> self = shared_from_this();
  ++pumps_;
  for (size_t i = 0; i < answers_.size() && !is_over_; ++i) {
    while (!is_over_ && !answers_[i]->is_over) {
      if (exchange_->unsent_bytes() > kMostUnsent) return;
      std::optional<StreamEvent> event = answers_[i]->stream->Next(0);
      if (!event) break;
      Take(*answers_[i], std::move(*event));
    }
  }
  if (is_over_ || answers_.empty()) return;
  if (std::all_of(answers_.begin(), answers_.end(), [](const auto& one) { return one->is_over; })) {
    Finish();
  }
}

void Generation::Take(Answer& answer, StreamEvent event) {
  switch (event.kind) {
    case StreamEvent::Kind::kToken:
      return TakeToken(answer, std::move(event));
    case StreamEvent::Kind::kError:
      return Fail(ErrorOf(event.error_kind, event.error));
    case StreamEvent::Kind::kCancelled:
      return Fail(ShuttingDown());  // the scheduler is ending
    case StreamEvent::Kind::kDone:
      break;
  }
  Complete(answer, std::move(event));
}

void Generation::TakeToken(Answer& answer, StreamEvent event) {
  const double now = NowSeconds();
  if (answer.first_s == 0) {
    answer.first_s = now;
    floor_.metrics.ObserveFirstToken(now - start_s_);
  } else if (answer.last_pump != pumps_) {  // tokens of one round arrive together
    floor_.metrics.ObserveInterToken(now - answer.last_s);
  }
  answer.last_s = now;
  answer.last_pump = pumps_;
  const Piece piece = answer.text.Push(event.token, std::move(event.logprobs));
  const LiveSpeed speed{answer.text.tokens(), now - answer.first_s, event.drafted, event.accepted};
  Emit(answer, piece, order_.wants_speed ? &speed : nullptr);
}

void Generation::Emit(Answer& answer, const Piece& piece, const LiveSpeed* speed) {
  if (!order_.streams) {
    answer.whole += piece.text;
    answer.scored.insert(answer.scored.end(), piece.scored.begin(), piece.scored.end());
    return;
  }
  if (!std::exchange(answer.is_started, true)) Write(writer_->Start(answer.index));
  Write(writer_->Delta(answer.index, piece, speed));
}

void Generation::Complete(Answer& answer, StreamEvent event) {
  Emit(answer, answer.text.Finish(), nullptr);
  Ending ending;
  ending.index = answer.index;
  ending.text = std::move(answer.whole);
  ending.scored = std::move(answer.scored);
  ending.stop_text = answer.text.stopped() ? answer.text.stop_text() : "";
  ending.finish = answer.text.stopped() ? FinishReason::kStop : event.result.finish;
  ending.context_full = event.result.context_full;
  ending.completion_tokens = answer.text.tokens();
  ending.prompt_tokens = answer.prompt_tokens;
  ending.stats = event.result.stats;
  ending.digest = std::move(event.digest);
  answer.is_over = true;
  answer.stream = nullptr;
  if (answer.index % order_.answers == 0) {
    usage_.prompt_tokens += ending.prompt_tokens;
    usage_.cached_tokens += ending.stats.cached_tokens;
  }
  usage_.completion_tokens += ending.completion_tokens;
  floor_.metrics.ObserveAnswer(ending, NowSeconds() - start_s_);
  if (order_.streams) Write(writer_->Finish(ending));
  endings_.push_back(std::move(ending));
}

void Generation::Write(std::string_view text) {
  if (text.empty()) return;
  written_s_ = NowSeconds();
  exchange_->Write(text);
}

void Generation::Finish() {
  is_over_ = true;
  if (order_.streams) {
    Write(writer_->Close(order_.wants_usage ? &usage_ : nullptr));
    exchange_->End();
  } else {
    std::sort(endings_.begin(), endings_.end(),
              [](const Ending& a, const Ending& b) { return a.index < b.index; });
    exchange_->Respond(JsonResponse(writer_->Whole(endings_, usage_)));
  }
}

void Generation::Fail(const ApiError& error) {
  if (is_over_) return;
  is_over_ = true;
  status_ = error.status;
  answers_.clear();  // cancels them
  if (is_begun_) {
    Write(ErrorEventText(error));
    exchange_->End();
  } else {
    exchange_->Respond(ErrorResponse(error));
  }
}

// The client went away.
void Generation::GiveUp() {
  if (is_over_) return;
  is_over_ = true;
  status_ = 499;
  answers_.clear();
  floor_.metrics.CountAborted();
}

void Generation::Tick() {
  if (is_over_ || !is_begun_) return;
  const double now = NowSeconds();
  if (order_.wants_progress) {
    for (const auto& answer : answers_) {
      if (answer->is_over || answer->first_s > 0) continue;
      const int done = answer->stream->prompt_done();
      if (done == answer->prompt_done) continue;
      answer->prompt_done = done;
      Write(writer_->Progress(answer->index, {answer->prompt_tokens, done, now - start_s_}));
    }
  }
  if (now - written_s_ >= kKeepAlive_s && exchange_->unsent_bytes() == 0) Write(kKeepAlive);
}

std::vector<SlotState> Generation::Slots() const {
  std::vector<SlotState> slots;
  for (const auto& answer : answers_) {
    if (answer->is_over) continue;
    slots.push_back({answer->prompt_tokens, answer->stream->prompt_done(), answer->text.tokens(),
                     answer->reserved});
  }
  return slots;
}

std::string Generation::Summary() const {
  char text[160];
  std::snprintf(text, sizeof text, "%d, prompt %d, cached %d, generated %d, %.3f s", status_,
                usage_.prompt_tokens, usage_.cached_tokens, usage_.completion_tokens,
                NowSeconds() - start_s_);
  return text;
}

}  // namespace quantspec::server
