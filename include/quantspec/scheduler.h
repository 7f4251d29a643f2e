// Many requests on one engine: a thread that decodes all sequences together and reads prompts in
// between. An answer never depends on who else is there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "quantspec/engine.h"
#include "quantspec/types.h"

namespace quantspec {

struct SchedulerOptions {
  // Of every request. context: the most tokens of prompt and answer together; 0 = what the request
  // needs, at most the model's context.
  SessionOptions session;
  int max_queue = 64;  // requests that wait for a place
  // Tokens that a stream holds for its reader; a full one pauses its sequence. At least
  // kMaxGamma + 2.
  int stream_tokens = 256;
  // Called by the scheduler's thread after streams got events, with the tags of their requests,
  // each once: for all of a round, of a turn of prompts, and of what ended. It may only note the
  // tags and signal (write to an eventfd, notify a condition): no call of the scheduler or a
  // stream, no exception, no waiting. Empty: none.
  std::function<void(std::span<const uint64_t> tags)> wake;
};

struct Request {
  std::vector<Token> prompt;
  GenerateOptions generate;
  bool wants_digest = false;  // of the cache, at the end
  // Tokens of the answer that there is room for from the beginning; 0 = all max_tokens. A longer
  // answer gets more as it grows: younger sequences are copied out of the cache for it and go on
  // later; where nobody is left to make room, it ends as in a full context. For answers whose
  // length nobody said.
  int reserve_tokens = 0;
  // Texts that end the answer, none of them empty: it ends with the token that completes the first
  // one (kStop), whoever else is there, and so does the cache.
  std::vector<std::string> stops = {};
  std::string salt = {};  // instead of the session options' one, if not empty
  uint64_t tag = 0;       // what SchedulerOptions::wake calls it
};

struct StreamEvent {
  enum class Kind {
    kToken,      // `token` is final
    kDone,       // the last event: `result`
    kCancelled,  // the last event: `result` is what there was
    kError,      // the last event: `error`, with its kind; other requests go on
  };
  Kind kind = Kind::kToken;
  Token token = 0;
  std::vector<TokenLogprob>
      logprobs;  // GenerateOptions::logprobs: of the token, then the likeliest
  // Of a token: drafted tokens so far, in the rounds before its own, and those accepted of them.
  int64_t drafted = 0;
  int64_t accepted = 0;
  GenerateResult result;
  std::string digest;
  ErrorKind error_kind = ErrorKind::kUsage;
  std::string error;
};

// The answer to one request. Any thread may call it; giving it up cancels the request.
class Stream {
 public:
  virtual ~Stream() = default;
  // The next event, waited for at most `timeout_s`; none if it did not come or the last one was
  // taken. 0 never waits, so that one thread can serve many streams (SchedulerOptions::wake).
  virtual std::optional<StreamEvent> Next(double timeout_s) = 0;
  // Ends the request at the next round or prompt slice.
  virtual void Cancel() = 0;
  // Tokens of the prompt that are read.
  virtual int prompt_done() const = 0;
};

// A turn of the scheduler is a round of all that decode, and slices of prompts.
inline constexpr std::array<int, 13> kTurnTokens = {1,   8,    16,   32,   64,   128,  256,
                                                    512, 1024, 2048, 4096, 8192, 16384};

struct SchedulerCounters {
  int queued = 0;
  int reading = 0;   // prompts
  int decoding = 0;  // paused ones included
  int64_t submitted = 0;
  int64_t finished = 0;
  int64_t cancelled = 0;
  int64_t failed = 0;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of them, from the prompt store
  int64_t generated_tokens = 0;
  int64_t draft_rounds = 0;  // that verified drafts
  int64_t drafted = 0;
  int64_t accepted = 0;
  int64_t passes = 0;          // steps over any number of sequences
  int64_t pass_sequences = 0;  // the sequences of all of them
  int64_t pass_rows = 0;       // their tokens, drafts included
  // Turns by their tokens, those read of prompts (without what was stored) and those generated: at
  // most kTurnTokens[i], and the last one more.
  std::array<int64_t, kTurnTokens.size() + 1> turns{};
  int64_t turn_tokens = 0;  // of all of them
  int64_t copied_out = 0;   // sequences that made room for older ones, prompts included
  int waiting = 0;          // of the decoding ones, those copied out now
  // Groups of 128 tokens of the engine's cache: all, and those that nobody has a right to, of which
  // the prompt store may keep some. 0 with CacheKind::kFull.
  int pool_groups = 0;
  int pool_free = 0;
};

class Scheduler {
 public:
  // As many sequences at a time as `engine` was loaded for (EngineCapacity::sequences). Takes what
  // all sequences share, if no session has. Throws Error: kUsage for options out of range, kMemory.
  static std::unique_ptr<Scheduler> Start(std::shared_ptr<const Engine> engine,
                                          const SchedulerOptions& options);
  // Cancels all requests and waits for the thread.
  virtual ~Scheduler() = default;

  // Throws Error: kUsage for a request that is out of range or does not fit into the context,
  // kMemory for one that is larger than the engine's whole cache, kBusy if the queue is full.
  virtual std::shared_ptr<Stream> Submit(Request request) = 0;
  // Throws Error{kBusy} if the queue is full, for callers who have work to do before they submit.
  virtual void CheckQueue() const = 0;
  virtual SchedulerCounters counters() const = 0;
};

}  // namespace quantspec
