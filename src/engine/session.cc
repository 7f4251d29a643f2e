#include "engine/session.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "decode/generate.h"
#include "engine/memory_plan.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int kNone = std::numeric_limits<int>::max();

class SessionImpl : public Session {
 public:
  explicit SessionImpl(const SessionParts& parts)
      : SessionImpl(parts, std::make_unique<Sequence>(*parts.core, parts.sequence)) {}

  int context() const override { return sequence_->context(); }
  int length() const override { return sequence_->Length(); }
  MemoryBytes memory() const override { return parts_.bytes; }
  int step_room() const override {
    return std::min(sequence_->Room(), static_cast<int>(kStepRows));
  }
  int sealed() const override { return sequence_->cache().Sealed(); }

  bool Prefill(std::span<const Token> prompt, const OnPrefill& on_prefill) override {
    CheckTokens(prompt, parts_.tokens);
    CheckPrompt(prompt.size(), LengthAfterStep(), PendingAfterStep(), context());
    EndStep();
    const double start = SteadySeconds();
    sequence_->StartPrompt(prompt);
    if (!Read(on_prefill, static_cast<int>(prompt.size()))) return false;
    prompt_tokens_ = static_cast<int>(prompt.size());
    prefill_s_ = SteadySeconds() - start;
    return true;
  }

  GenerateResult Generate(const GenerateOptions& options, const OnToken& on_token) override {
    CheckGenerate(options);
    if (sequence_->tokens().empty()) {
      throw Error(ErrorKind::kUsage, "nothing to generate from: prefill a prompt first");
    }
    EndStep();
    GenerateResult result;
    if (StepPending()) {
      result = Decode(options, on_token);
    } else {
      result.finish = FinishReason::kLength;
      result.context_full = true;
    }
    result.stats.prompt_tokens = prompt_tokens_;
    result.stats.cached_tokens = sequence_->cached_tokens();
    result.stats.prefill_s = prefill_s_;
    return result;
  }

  std::span<const float> Step(Reader reader, std::span<const Token> tokens) override {
    if (tokens.empty() || tokens.size() > static_cast<size_t>(step_room())) {
      throw Error(ErrorKind::kUsage, "a step takes 1 to " + std::to_string(step_room()) +
                                         " tokens here, found " + std::to_string(tokens.size()));
    }
    CheckTokens(tokens, parts_.tokens);
    if (reader == Reader::kTarget && draft_from_ != kNone) {
      throw Error(ErrorKind::kUsage, "the tokens from " + std::to_string(draft_from_) +
                                         " on were drafted: rewind before the target's step");
    }
    const int start = sequence_->Length();
    sequence_->Step(reader, tokens, [&](const LogitRows& logits) {
      step_logits_.assign(logits.data, logits.data + logits.rows * logits.columns);
    });
    std::vector<Token>& all = sequence_->tokens();
    if (start == sequence_->cache().Committed()) {
      pending_.assign(all.begin() + start, all.end());
    }
    all.resize(static_cast<size_t>(start));
    all.insert(all.end(), tokens.begin(), tokens.end());
    if (reader == Reader::kDraft) {
      draft_from_ = std::min(draft_from_, start);
    } else {
      sequence_->KeepLogits(
          std::span<const float>(step_logits_).last(step_logits_.size() / tokens.size()));
    }
    return step_logits_;
  }

  void Rewind(int length) override {
    const bool is_open = sequence_->Length() > sequence_->cache().Committed();
    if (is_open && length >= sequence_->cache().Committed() && length <= sequence_->Length()) {
      if (length > draft_from_) {
        throw Error(ErrorKind::kUsage, "rewind: found " + std::to_string(length) +
                                           ", but the tokens from " + std::to_string(draft_from_) +
                                           " on were drafted and cannot be kept");
      }
      KeepOfStep(length);
      return;
    }
    if (!sequence_->CanRewind(length)) throw RewindError(length);
    EndStep();
    sequence_->Rewind(length);
  }

  int RewindLength(int most) const override {
    const KvCache& cache = sequence_->cache();
    if (most >= cache.Committed()) return cache.Committed();
    int length = std::max(most, 0);
    if (cache.spec().kind == CacheKind::kHierarchical) {
      length = std::min(length, cache.Sealed()) / kChunkTokens * kChunkTokens;
    }
    return cache.CanRewind(length) ? length : 0;
  }

  void Clear() override {
    EndStep();
    sequence_->Rewind(0);
  }

  std::unique_ptr<Session> Fork() override { return Fork(sequence_->spec().draft); }
  std::unique_ptr<Session> Fork(const DraftOptions& draft) override {
    CheckDraftOf(draft, parts_.sequence.cache.kind, parts_.weights);
    EndStep();
    auto copy = std::unique_ptr<SessionImpl>(new SessionImpl(parts_, sequence_->Fork(draft)));
    copy->parts_.sequence = copy->sequence_->spec();
    copy->parts_.bytes.tail = BytesOfSequence(parts_.core->model().config(), copy->parts_.sequence,
                                              parts_.core->backend());
    copy->prompt_tokens_ = prompt_tokens_;
    copy->prefill_s_ = prefill_s_;
    return copy;
  }

  std::string CacheDigest() const override { return sequence_->Digest(); }
  uint64_t BytesPerToken(Reader reader) const override { return sequence_->BytesPerToken(reader); }

 private:
  SessionImpl(const SessionParts& parts, std::unique_ptr<Sequence> sequence)
      : parts_(parts),
        sequence_(std::move(sequence)),
        decoding_(parts.core->model().config().info.vocab, parts.tokens) {}

  // Keeps what the target stepped over and drops what was drafted.
  void EndStep() {
    const KvCache& cache = sequence_->cache();
    if (cache.Length() > cache.Committed()) KeepOfStep(LengthAfterStep());
  }

  // Ends the open step: the first `length` tokens stay. If none of the step's do, the generated
  // token that was pending before it is pending again.
  void KeepOfStep(int length) {
    const int start = sequence_->cache().Committed();
    sequence_->Commit(length);
    std::vector<Token>& all = sequence_->tokens();
    all.resize(static_cast<size_t>(length));
    if (length == start) all.insert(all.end(), pending_.begin(), pending_.end());
    draft_from_ = kNone;
  }

  // The tokens in the cache, and those pending, once EndStep was called.
  int LengthAfterStep() const { return std::min(draft_from_, sequence_->Length()); }
  size_t PendingAfterStep() const {
    const KvCache& cache = sequence_->cache();
    if (cache.Length() == cache.Committed()) return sequence_->Pending();
    return LengthAfterStep() == cache.Committed() ? pending_.size() : 0;
  }

  // Reads the prompt that was started; false if `on_prefill` stopped it.
  bool Read(const OnPrefill& on_prefill, int total) {
    try {
      for (bool is_done = false; !is_done;) {
        {
          const Turn turn(parts_.core->turns());
          is_done = sequence_->AdvancePrompt(kChunkTokens);
        }
        const int done = is_done ? total : std::min(sequence_->PromptDone(), total);
        if (!on_prefill || on_prefill(done, total) || is_done) continue;
        sequence_->CancelPrompt();
        return false;
      }
    } catch (...) {
      sequence_->CancelPrompt();
      throw;
    }
    return true;
  }

  // The last generated token is not in the cache yet: it gets its turn before others follow. False
  // if not even that one has room.
  bool StepPending() {
    if (sequence_->Pending() == 0) return true;
    if (sequence_->Room() == 0) return false;
    const std::span<const Token> tokens = sequence_->tokens();
    sequence_->Step(Reader::kTarget, tokens.last(1), [&](const LogitRows& logits) {
      sequence_->KeepLogits({logits.Row(0), static_cast<size_t>(logits.columns)});
    });
    sequence_->Commit(sequence_->Length());
    return true;
  }

  GenerateResult Decode(const GenerateOptions& options, const OnToken& on_token) {
    GenerateCall call;
    call.first_logits = sequence_->Logits();
    if (call.first_logits.empty()) {
      throw Error(ErrorKind::kUsage,
                  "the logits of the last token are not at hand, as the sequence was rewound or a "
                  "prompt was stopped: prefill or step at least one token first");
    }
    call.tokens = &sequence_->tokens();
    call.options = options;
    call.is_end = parts_.is_end;
    call.on_token = on_token;
    call.source = sequence_->draft_source();
    call.prior = {static_cast<double>(BytesPerToken(Reader::kDraft)) /
                  static_cast<double>(BytesPerToken(Reader::kTarget))};
    return quantspec::Generate(decoding_, *sequence_, call);
  }

  Error RewindError(int length) const {
    const std::string length_text = std::to_string(sequence_->Length());
    const std::string expected = sequence_->cache().spec().kind == CacheKind::kFull
                                     ? "0 to " + length_text
                                     : "a multiple of " + std::to_string(kChunkTokens) +
                                           " up to the " +
                                           std::to_string(sequence_->cache().Sealed()) +
                                           " sealed tokens, or the end of the open step";
    const std::string windows = sequence_->cache().spec().windows.empty()
                                    ? ""
                                    : "; layers with a window keep no rows from further back";
    return Error(ErrorKind::kUsage, "rewind: found " + std::to_string(length) + " of " +
                                        length_text + " tokens, expected " + expected + windows);
  }

  SessionParts parts_;
  std::unique_ptr<Sequence> sequence_;
  Decoding decoding_;
  std::vector<float> step_logits_;
  std::vector<Token> pending_;  // before the open step: the last generated token, or none
  int draft_from_ = kNone;      // the first row of the open step that the draft wrote
  int prompt_tokens_ = 0;
  double prefill_s_ = 0;
};

}  // namespace

void CheckTokens(std::span<const Token> tokens, int count) {
  for (const Token token : tokens) {
    if (token >= 0 && token < count) continue;
    throw Error(ErrorKind::kUsage, "token " + std::to_string(token) +
                                       " is outside the vocabulary of " + std::to_string(count));
  }
}

void CheckPrompt(size_t prompt, int length, size_t pending, int context) {
  if (prompt == 0) throw Error(ErrorKind::kUsage, "the prompt is empty");
  const size_t room = static_cast<size_t>(context - length);
  if (prompt + pending <= room) return;
  throw Error(ErrorKind::kUsage, "the prompt has " + std::to_string(prompt) +
                                     " tokens, but the context has room for " +
                                     std::to_string(room - std::min(pending, room)) + " of " +
                                     std::to_string(context) +
                                     "; shorten it or use a larger context");
}

std::unique_ptr<Session> MakeSession(const SessionParts& parts) {
  return std::make_unique<SessionImpl>(parts);
}

}  // namespace quantspec
