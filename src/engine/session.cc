#include "engine/session.h"

#include <algorithm>
#include <cstdio>

#include "decode/speculative.h"
#include "engine/model_file.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

// One cache under a transformer, as the speculative loop sees it.
class CachedSequence : public SequenceModel {
 public:
  CachedSequence(Transformer& transformer, KvCache& cache)
      : transformer_(transformer), cache_(cache) {}

  int vocab() const override { return transformer_.model().config().info.vocab; }
  int Length() const override { return cache_.Length(); }
  int Room() const override { return cache_.Room(); }

  ConstRows Prefill(std::span<const Token> prompt, const OnPrefill& on_prefill) override {
    const int total = static_cast<int>(prompt.size());
    const auto report = [&](double done) {
      return !on_prefill || on_prefill(static_cast<int>(done * total), total);
    };
    return cache_.Length() == 0 ? transformer_.Prefill(cache_, prompt, report)
                                : Continue(prompt, report);
  }
  LogitRows Step(Reader reader, std::span<const Token> tokens) override {
    const StepRows rows{&cache_, tokens};
    return transformer_.Step(reader, {&rows, 1});
  }
  void Drop(int length) override { cache_.Truncate(length); }
  void Rewind(int length) override {
    cache_.Truncate(length);
    cache_.Commit(transformer_.backend());
  }

 private:
  // A prompt after other tokens runs through the decoding path, in steps up to the seal boundary.
  template <typename Report>
  ConstRows Continue(std::span<const Token> prompt, const Report& report) {
    ConstRows logits;
    for (size_t done = 0; done < prompt.size();) {
      const size_t count = std::min({prompt.size() - done, static_cast<size_t>(cache_.Room()),
                                     static_cast<size_t>(kMaxGamma + 1)});
      logits = Step(Reader::kTarget, prompt.subspan(done, count));
      Rewind(cache_.Length());
      done += count;
      if (!report(static_cast<double>(done) / static_cast<double>(prompt.size()))) return {};
    }
    return logits.Rows(logits.rows - 1, 1);
  }

  Transformer& transformer_;
  KvCache& cache_;
};

class SessionImpl : public Session {
 public:
  explicit SessionImpl(SessionParts parts)
      : engine_(std::move(parts.engine)),
        tokenizer_(parts.tokenizer),
        bytes_(parts.bytes),
        context_(parts.cache.context),
        cache_(MakeKvCache(parts.cache, *parts.backend)),
        transformer_(*parts.model, std::move(parts.backend), MakeLimits(context_)),
        sequence_(transformer_, *cache_),
        decoder_(transformer_.model().config().info.vocab, context_) {
    history_.reserve(static_cast<size_t>(context_) + 1);
  }

  int context() const override { return context_; }
  int length() const override { return cache_->Length(); }
  MemoryBytes memory() const override { return bytes_; }
  int step_room() const override { return std::min(cache_->Room(), kMaxGamma + 1); }

  bool Prefill(std::span<const Token> prompt, const OnPrefill& on_prefill) override {
    const size_t behind = Behind();
    CheckPrompt(prompt, behind);
    const double start = SteadySeconds();
    // The last generated token is not in the cache yet; it goes in front.
    history_.insert(history_.end(), prompt.begin(), prompt.end());
    const std::span<const Token> fed{history_.data() + history_.size() - prompt.size() - behind,
                                     prompt.size() + behind};
    logits_ = sequence_.Prefill(fed, on_prefill);
    if (logits_.rows == 0) {
      Clear();
      return false;
    }
    prompt_tokens_ = static_cast<int>(prompt.size());
    prefill_s_ = SteadySeconds() - start;
    return true;
  }

  GenerateResult Generate(const GenerateOptions& options, const OnToken& on_token) override {
    CheckGenerate(options);
    if (history_.empty()) {
      throw Error(ErrorKind::kUsage, "nothing to generate from: prefill a prompt first");
    }
    if (Behind() > 0 && cache_->Room() > 0) {
      logits_ = sequence_.Step(Reader::kTarget, {&history_.back(), 1});
      sequence_.Rewind(cache_->Length());
    }
    GenerateResult result;
    if (Behind() > 0) {  // not even the last token has room
      result.finish = FinishReason::kLength;
      result.context_full = true;
    } else {
      if (logits_.rows == 0) {
        throw Error(
            ErrorKind::kUsage,
            "the last step was drafted or rewound: step the last token as the target first");
      }
      const auto is_end = [&](Token token) { return tokenizer_ && tokenizer_->IsEnd(token); };
      const std::span<const float> logits{logits_.data, static_cast<size_t>(logits_.columns)};
      result = decoder_.Run(sequence_, logits, history_, options, is_end, on_token, DraftCost());
    }
    history_.insert(history_.end(), result.tokens.begin(), result.tokens.end());
    logits_ = {};
    result.stats.prompt_tokens = prompt_tokens_;
    result.stats.prefill_s = prefill_s_;
    return result;
  }

  std::span<const float> Step(Reader reader, std::span<const Token> tokens) override {
    if (tokens.empty() || tokens.size() > static_cast<size_t>(step_room())) {
      throw Error(ErrorKind::kUsage, "a step takes 1 to " + std::to_string(step_room()) +
                                         " tokens here, found " + std::to_string(tokens.size()));
    }
    CheckTokens(tokens);
    const ConstRows logits = sequence_.Step(reader, tokens);
    history_.resize(static_cast<size_t>(cache_->Length()) - tokens.size());
    history_.insert(history_.end(), tokens.begin(), tokens.end());
    logits_ = {};
    if (reader == Reader::kTarget) logits_ = logits.Rows(logits.rows - 1, 1);
    return {logits.data, static_cast<size_t>(logits.rows * logits.columns)};
  }

  void Rewind(int length) override {
    if (length < 0 || length > cache_->Length()) {
      throw Error(ErrorKind::kUsage, "rewind: found " + std::to_string(length) +
                                         ", expected 0 to " + std::to_string(cache_->Length()));
    }
    if (length < cache_->Length()) logits_ = {};
    sequence_.Rewind(length);
    history_.resize(static_cast<size_t>(length));
  }

  void Clear() override {
    cache_->Clear();
    history_.clear();
    logits_ = {};
  }

  std::string CacheDigest() const override {
    Digest digest;
    cache_->AddTo(digest, transformer_.backend());
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(digest.value()));
    return text;
  }

  uint64_t BytesPerToken(Reader reader) const override {
    return transformer_.model().ReadBytes(transformer_.backend(), reader) +
           cache_->ReadBytes(transformer_.backend(), reader);
  }

 private:
  // Tokens of the sequence that the cache does not hold yet: the last generated one, or none.
  size_t Behind() const { return history_.size() - static_cast<size_t>(cache_->Length()); }

  CostPrior DraftCost() const {
    return {static_cast<double>(BytesPerToken(Reader::kDraft)) /
            static_cast<double>(BytesPerToken(Reader::kTarget))};
  }

  void CheckTokens(std::span<const Token> tokens) const {
    for (const Token token : tokens) {
      if (token >= 0 && token < sequence_.vocab()) continue;
      throw Error(ErrorKind::kUsage, "token " + std::to_string(token) +
                                         " is outside the vocabulary"
                                         " of " +
                                         std::to_string(sequence_.vocab()));
    }
  }

  void CheckPrompt(std::span<const Token> prompt, size_t behind) const {
    if (prompt.empty()) throw Error(ErrorKind::kUsage, "the prompt is empty");
    const size_t room = static_cast<size_t>(context_ - cache_->Length());
    if (prompt.size() + behind > room) {
      throw Error(ErrorKind::kUsage, "the prompt has " + std::to_string(prompt.size()) +
                                         " tokens, but the context has room for " +
                                         std::to_string(room - std::min(behind, room)) + " of " +
                                         std::to_string(context_) +
                                         "; shorten it or use a larger context");
    }
    CheckTokens(prompt);
  }

  std::shared_ptr<const void> engine_;
  const Tokenizer* tokenizer_;
  MemoryBytes bytes_;
  int context_;
  std::unique_ptr<KvCache> cache_;
  mutable Transformer transformer_;
  CachedSequence sequence_;
  Decoder decoder_;
  std::vector<Token> history_;  // prompt and generated tokens; the cache holds all but the last
  ConstRows logits_;            // of the last token in the cache; empty if not at hand
  int prompt_tokens_ = 0;
  double prefill_s_ = 0;
};

}  // namespace

std::unique_ptr<Session> MakeSession(SessionParts parts) {
  return std::make_unique<SessionImpl>(std::move(parts));
}

}  // namespace quantspec
