// One sequence of an engine, the only owner of its tokens, its cache and the logits of its last
// token. Every call either does all of what it says or leaves the sequence as the last finished
// round or chunk left it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/draft_policy.h"
#include "cache/kv_cache.h"
#include "decode/ngram_source.h"
#include "decode/sequence_model.h"
#include "engine/engine_core.h"
#include "quantspec/types.h"

namespace quantspec {

struct SequenceSpec {
  KvCacheSpec cache;
  int q_heads = 0;
  // Of layers without a window.
  float score_scale = 0;  // DraftPolicySpec::score_scale
  float softcap = 0;      // of attention scores
  DraftOptions draft;
  PromptReuse reuse = PromptReuse::kPrompts;
  std::string salt;

  DraftPolicySpec Policy() const;
  // What drafts read of the weights.
  Reader DraftWeights() const {
    return draft.weights == DraftPart::kTarget ? Reader::kTarget : Reader::kDraft;
  }
};

// Belongs to one thread at a time; takes the engine's turns by itself unless a function says that
// the caller has one.
class Sequence : public SequenceModel {
 public:
  // Memory of a sequence besides the pool: dense rows, draft policy, a chunk's activations, logits.
  static uint64_t Bytes(const SequenceSpec& spec, const ModelConfig& config,
                        const Backend& backend);
  // Throws Error{kMemory}.
  Sequence(EngineCore& core, const SequenceSpec& spec);
  ~Sequence() override;
  // A copy that goes its own way, with a draft of its own; shares the sealed groups. No round or
  // prompt is open.
  std::unique_ptr<Sequence> Fork(const DraftOptions& draft);

  // All tokens; the cache holds all of them, or all but the last generated one.
  std::vector<Token>& tokens() { return tokens_; }
  size_t Pending() const { return tokens_.size() - static_cast<size_t>(Length()); }
  const KvCache& cache() const { return *cache_; }
  const SequenceSpec& spec() const { return spec_; }
  int context() const { return spec_.cache.context; }
  // What proposes tokens instead of the model; null: the model does.
  DraftSource* draft_source() { return source_ ? &*source_ : nullptr; }
  // The target's logits of the last token; empty if they are not at hand.
  std::span<const float> Logits() const;
  std::string Digest();
  uint64_t BytesPerToken(Reader reader);

  // ---- prompts
  // Begins to read `prompt` behind all tokens.
  void StartPrompt(std::span<const Token> prompt);
  bool is_reading() const { return prompt_end_ > 0; }
  // The caller has the turn: takes a stored chunk, or the next rows, at most `most`, through a
  // layer of the present one. True once the prompt is read and its logits are at hand.
  bool AdvancePrompt(int most);
  // Rows that the last AdvancePrompt computed; 0: it took a stored chunk.
  int slice_rows() const { return slice_rows_; }
  // Progress in tokens; a token half way through the layers counts as half.
  int PromptDone() const;
  // Ends reading; chunks that are finished stay.
  void CancelPrompt();
  // Tokens of the last prompt that came from the prompt store.
  int cached_tokens() const { return cached_tokens_; }

  // Tokens of the prompt that are still to read.
  int PromptLeft() const { return prompt_end_ == 0 ? 0 : prompt_end_ - Length(); }

  // ---- room in the pool, of sequences whose cache grows; the caller has the turn
  // KvCache::Promise.
  bool Promise(int slots) { return cache_->Promise(slots); }
  // Gives all slots back and begins again to read `prompt`, that of a sequence that has nothing
  // else.
  void RestartPrompt(std::span<const Token> prompt);
  // Copies the sealed groups out to host memory and gives their slots back; no round or prompt is
  // open. Nothing but CopyIn follows. Throws std::bad_alloc, with nothing changed.
  void CopyOut();
  bool is_out() const { return is_out_; }
  // Back into slots; false if there is no room for them and one more.
  bool CopyIn();

  // ---- rounds
  int Length() const override { return cache_->Length(); }
  int Room() const override { return cache_->Room(); }
  void Step(Reader reader, std::span<const Token> tokens, TakeLogits take) override;
  void Truncate(int length) override { cache_->Truncate(length); }
  void Commit(int length) override;
  // The same for a caller that has the turn.
  void CommitInTurn(int length);
  // `tokens` as a part of a step over several sequences; the caller has the turn.
  StepRows RowsOf(std::span<const Token> tokens) {
    return {cache_.get(), policy_.get(), tokens, spec_.DraftWeights()};
  }

  // Keeps the logits [vocab] of the last committed token.
  void KeepLogits(std::span<const float> logits);
  bool CanRewind(int length) const { return cache_->CanRewind(length); }
  // Forgets the tokens from `length` on. No round is open, CanRewind(length).
  void Rewind(int length);

 private:
  Sequence(Sequence& other, const SequenceSpec& spec);  // Fork's
  // True if stored chunks may follow, and sealed ones be stored.
  bool CanShare() const {
    if (spec_.reuse == PromptReuse::kNone || spec_.cache.kind == CacheKind::kFull) return false;
    return spec_.reuse == PromptReuse::kAll || cache_->PromptTokens() == cache_->Committed();
  }
  // What the next chunk of a prompt follows in the store.
  PromptStore::Node* StoredParent() {
    return path_.empty() ? core_.store()->Root(spec_.salt) : path_.back();
  }
  // Takes the next chunk from the prompt store, with windows the next ones, as many as leave all
  // rows that are still seen; false if none is there.
  bool TakeStoredChunks();
  // Chunks that continue the path in the prompt store, at most `most`.
  std::vector<PromptStore::Node*> FindStored(size_t most);
  // Offers the chunk that was just sealed to other sequences.
  void StoreChunk();
  // With kAll: the same of a chunk that decoding sealed. What cannot be stored is read again.
  void StoreGenerated() noexcept;
  // With kAll, before the tail is forgotten: seals the whole chunk that decoding left in it, as the
  // next prompt would, and stores that.
  void StoreTail() noexcept;
  void FinishRows();

  EngineCore& core_;
  SequenceSpec spec_;
  std::unique_ptr<DraftPolicy> policy_;
  std::optional<NgramSource> source_;
  PromptRows rows_;
  std::vector<Token> tokens_;
  std::vector<float> logits_;
  static constexpr int kNoLogits = -1;
  int logits_length_ = kNoLogits;  // tokens up to the one that logits_ are of
  // The stored chunks that the sequence begins with; it holds their slots. Shorter than what is
  // sealed if its own chunks are others, or came back from a copy.
  std::vector<PromptStore::Node*> path_;
  std::unique_ptr<KvCache> cache_;  // ~Sequence resets it under a turn, as it releases pool slots

  // The prompt being read is tokens [prompt_begin_, prompt_end_), the pending one included.
  int prompt_begin_ = 0;
  int prompt_end_ = 0;       // 0: none is
  size_t kept_tokens_ = 0;   // when it began
  bool is_started_ = false;  // what was unsealed before it is sealed
  int cached_tokens_ = 0;
  int slice_rows_ = 0;

  bool is_out_ = false;
  int out_slots_ = 0;           // that were copied out,
  std::vector<std::byte> out_;  // and their bytes
};

}  // namespace quantspec
