#include "engine/sequence.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>

#include "base/check.h"
#include "engine/chunk_planes.h"

namespace quantspec {
namespace {

std::unique_ptr<KvCache> MakeCacheOf(EngineCore& core, const SequenceSpec& spec) {
  const PoolAccess access = spec.cache.kind == CacheKind::kFull ? PoolAccess{} : core.Pool();
  return MakeKvCache(spec.cache, core.backend(), access);
}

// Decoding appends tokens, drafts included, without allocating.
std::vector<Token> WithRoom(int context) {
  std::vector<Token> tokens;
  tokens.reserve(static_cast<size_t>(context) + kMaxGamma + 2);
  return tokens;
}

}  // namespace

DraftPolicySpec SequenceSpec::Policy() const {
  DraftPolicySpec policy;
  policy.geometry = cache.geometry;
  policy.dense_type = cache.dense_type;
  policy.q_heads = q_heads;
  policy.score_scale = score_scale;
  policy.layers = cache.FullLayers();
  policy.softcap = softcap;
  policy.context = cache.context;
  policy.is_sealed = cache.kind == CacheKind::kHierarchical;
  policy.draft = draft;
  return policy;
}

uint64_t Sequence::Bytes(const SequenceSpec& spec, const ModelConfig& config,
                         const Backend& backend) {
  return KvCacheBytes(spec.cache, backend) + DraftPolicyBytes(spec.Policy(), backend) +
         PromptRows::Bytes(config.info.hidden) +
         static_cast<uint64_t>(config.info.vocab) * sizeof(float) +
         (static_cast<uint64_t>(spec.cache.context) + kMaxGamma + 2) * sizeof(Token);
}

Sequence::Sequence(EngineCore& core, const SequenceSpec& spec)
    : core_(core),
      spec_(spec),
      policy_(MakeDraftPolicy(spec.Policy(), core.backend())),
      rows_(core.model().config().info.hidden, core.backend()),
      tokens_(WithRoom(spec.cache.context)),
      logits_(static_cast<size_t>(core.model().config().info.vocab)),
      cache_((Turn(core.turns()), MakeCacheOf(core, spec))) {
  if (spec.draft.kind == DraftKind::kNgram) source_.emplace();
}

Sequence::Sequence(Sequence& other, const SequenceSpec& spec)
    : core_(other.core_),
      spec_(spec),
      policy_(MakeDraftPolicy(spec.Policy(), core_.backend())),
      rows_(core_.model().config().info.hidden, core_.backend()),
      tokens_(WithRoom(spec_.cache.context)),
      logits_(other.logits_),
      logits_length_(other.logits_length_),
      path_(other.path_),
      cache_((Turn(core_.turns()), other.cache_->Fork(core_.backend()))) {
  if (spec.draft.kind == DraftKind::kNgram) source_.emplace();
  tokens_.assign(other.tokens_.begin(), other.tokens_.end());
  cached_tokens_ = other.cached_tokens_;
  const Turn turn(core_.turns());
  policy_->TakeOver(core_.backend(), *other.policy_);
}

Sequence::~Sequence() {
  const Turn turn(core_.turns());
  StoreTail();
  cache_.reset();
}

std::unique_ptr<Sequence> Sequence::Fork(const DraftOptions& draft) {
  QS_CHECK(!is_reading() && cache_->Length() == cache_->Committed());
  SequenceSpec spec = spec_;
  spec.draft = draft;
  return std::unique_ptr<Sequence>(new Sequence(*this, spec));
}

std::span<const float> Sequence::Logits() const {
  if (logits_length_ != Length() || Pending() != 0) return {};
  return logits_;
}

std::string Sequence::Digest() {
  const Turn turn(core_.turns());
  quantspec::Digest digest;
  cache_->AddTo(digest, core_.backend());
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(digest.value()));
  return text;
}

uint64_t Sequence::BytesPerToken(Reader reader) {
  const Turn turn(core_.turns());
  if (reader == Reader::kDraft && source_) return 0;
  const Reader weights = reader == Reader::kDraft ? spec_.DraftWeights() : reader;
  uint64_t bytes = core_.model().ReadBytes(core_.backend(), weights);
  int full = 0;  // layers without a window so far
  for (int layer = 0; layer < spec_.cache.layers; ++layer) {
    KvView view = cache_->View(layer);
    const bool is_full = spec_.cache.Window(layer) == 0;
    if (is_full && reader == Reader::kDraft) view = policy_->View(full, view);
    full += is_full ? 1 : 0;
    bytes += ViewBytes(view, spec_.cache.geometry, core_.backend());
  }
  return bytes;
}

// ---------------------------------------------------------------------------------- prompts

void Sequence::StartPrompt(std::span<const Token> prompt) {
  QS_CHECK(!is_reading() && !prompt.empty() && cache_->Length() == cache_->Committed());
  QS_CHECK(tokens_.size() + prompt.size() <= static_cast<size_t>(context()));
  kept_tokens_ = tokens_.size();
  prompt_begin_ = Length();
  tokens_.insert(tokens_.end(), prompt.begin(), prompt.end());
  prompt_end_ = static_cast<int>(tokens_.size());
  is_started_ = false;
  cached_tokens_ = 0;
}

std::vector<PromptStore::Node*> Sequence::FindStored(size_t most) {
  std::vector<PromptStore::Node*> found;
  const int length = Length();
  const bool can_share = CanShare() && length == cache_->Sealed() &&
                         path_.size() * kChunkTokens == static_cast<size_t>(length);
  if (!can_share) return found;
  // The last rows are always computed: for the logits, and for the queries that the draft needs.
  const auto end = static_cast<size_t>(std::max(prompt_end_ - policy_->QueryRows(), 0));
  PromptStore& store = *core_.store();
  PromptStore::Node* parent = StoredParent();
  for (size_t begin = static_cast<size_t>(length); found.size() < most;
       begin += kChunkTokens, parent = found.back()) {
    if (begin + kChunkTokens > end) break;
    const auto chunk = std::span<const Token>(tokens_).subspan(begin, kChunkTokens);
    PromptStore::Node* node = store.Find(parent, chunk, spec_.reuse);
    if (node == nullptr) node = store.Restore(parent, chunk, core_.Pool(), spec_.reuse);
    if (node == nullptr) break;
    found.push_back(node);
  }
  return found;
}

bool Sequence::TakeStoredChunks() {
  const std::vector<int>& windows = spec_.cache.windows;
  const int window = windows.empty() ? 0 : *std::ranges::max_element(windows);
  const auto needed = static_cast<size_t>(CeilDiv(window, kChunkTokens));  // chunks with rows
  // Without windows a chunk at a time: reading one from disk may drop another that nobody holds.
  const std::vector<PromptStore::Node*> found = FindStored(window == 0 ? 1 : SIZE_MAX);
  size_t count = 0, with_rows = 0;  // the latter without a gap
  for (size_t i = 0; i < found.size(); ++i) {
    with_rows = found[i]->rows == PromptStore::kNoRows ? 0 : with_rows + 1;
    if (with_rows >= std::min(i + 1, needed)) count = i + 1;
  }
  // A chunk has been promised already.
  if (count > 1 && !cache_->Promise(static_cast<int>(count) * PromptStore::kChunkSlots))
    return false;
  for (size_t i = 0; i < count; ++i) {
    std::span<const DenseSegment> rows;
    if (i + needed >= count) rows = core_.store()->TakeRows(found[i]);
    const bool is_prompt = found[i]->kind == ChunkKind::kPrompt;
    cache_->AttachChunk(core_.backend(), found[i]->slots,
                        is_prompt ? RowKind::kPrompt : RowKind::kDecode, rows);
    core_.store()->Use(*found[i]);
    path_.push_back(found[i]);
    cached_tokens_ += kChunkTokens;
  }
  return count > 0;
}

void Sequence::StoreChunk() {
  const int end = cache_->Sealed();
  if (!CanShare() || end == 0 || end % kChunkTokens != 0) return;
  const auto begin = static_cast<size_t>(end - kChunkTokens);
  if (path_.size() * kChunkTokens != begin) return;
  const auto slots = cache_->Slots().last(PromptStore::kChunkSlots);
  const auto kind = cache_->PromptTokens() >= end ? ChunkKind::kPrompt : ChunkKind::kGenerated;
  PromptStore::Node* node = core_.store()->Add(
      StoredParent(), std::span<const Token>(tokens_).subspan(begin, kChunkTokens), slots, kind);
  if (!std::ranges::equal(node->slots, slots)) {
    // Somebody else has the same tokens meanwhile. Where that is the same chunk, one of the two
    // copies is enough; generated ones may differ, and an answer goes on over its own.
    const GroupPool& pool = *core_.Pool().pool;
    if (kind == ChunkKind::kGenerated &&
        !SlotsAreEqual(core_.backend(), pool, node->slots, slots)) {
      return;
    }
    cache_->ReplaceLastChunk(node->slots);
    policy_->MoveSlots();
  }
  core_.store()->Use(*node);
  if (cache_->CanSaveLastChunk()) {
    const auto rows = core_.store()->AddRows(node);
    if (!rows.empty()) cache_->SaveLastChunk(core_.backend(), rows);
  }
  path_.push_back(node);
}

void Sequence::StoreGenerated() noexcept {
  if (spec_.reuse != PromptReuse::kAll) return;
  try {
    StoreChunk();
  } catch (const std::exception&) {
  }
}

void Sequence::StoreTail() noexcept {
  if (spec_.reuse != PromptReuse::kAll || !CanShare() || is_reading() || is_out()) return;
  cache_->Truncate(cache_->Committed());
  const size_t whole = static_cast<size_t>(Length() / kChunkTokens);
  if (path_.size() + 1 != whole) return;  // nothing is new, or not all before it is stored
  try {
    if (!cache_->Promise(1)) return;
    cache_->StartPrompt(core_.backend());
    StoreChunk();
  } catch (const std::exception&) {
  }
}

bool Sequence::AdvancePrompt(int most) {
  QS_CHECK(is_reading());
  Transformer& transformer = core_.transformer();
  if (!rows_.active()) {
    if (!is_started_) {
      cache_->StartPrompt(core_.backend());
      policy_->Forget();
      is_started_ = true;
      StoreGenerated();
    }
    slice_rows_ = 0;
    if (TakeStoredChunks()) return false;
    const int left = prompt_end_ - Length();
    const int count = std::min(left, cache_->PromptRoom());
    transformer.StartPrompt(RowsOf(std::span<const Token>(tokens_).subspan(
                                static_cast<size_t>(Length()), static_cast<size_t>(count))),
                            /*is_last=*/count == left, rows_);
  }
  slice_rows_ = std::min(most, rows_.Left());
  if (!transformer.AdvancePrompt(most, rows_)) return false;
  FinishRows();
  if (Length() < prompt_end_) return false;
  prompt_end_ = 0;
  return true;
}

void Sequence::FinishRows() {
  Transformer& transformer = core_.transformer();
  if (Length() == prompt_end_) {
    const LogitRows logits = transformer.PromptLogits(rows_);
    KeepLogits({logits.Row(0), static_cast<size_t>(logits.columns)});
  }
  cache_->Commit(core_.backend(), RowKind::kPrompt);
  transformer.EndPrompt(rows_);
  StoreChunk();
}

int Sequence::PromptDone() const {
  const int committed = cache_->Committed() - prompt_begin_;
  const int open = cache_->Length() - cache_->Committed();
  return committed + static_cast<int>(rows_.Done(spec_.cache.layers) * open);
}

void Sequence::CancelPrompt() {
  if (!is_reading()) return;
  core_.transformer().EndPrompt(rows_);
  // A pending token that no chunk took in stays pending.
  tokens_.resize(std::max(kept_tokens_, static_cast<size_t>(Length())));
  prompt_end_ = 0;
}

void Sequence::CopyOut() {
  QS_CHECK(!is_reading() && !is_out());
  const GroupPool& pool = *core_.Pool().pool;
  const std::span<const int32_t> slots = cache_->Slots();
  const ChunkLayout layout = LayoutOfSlots(pool, static_cast<int>(slots.size()));
  std::vector<std::byte> bytes(layout.file_bytes());
  DownloadSlots(core_.backend(), pool, slots, layout, bytes);
  out_ = std::move(bytes);
  out_slots_ = static_cast<int>(slots.size());
  is_out_ = true;
  path_.clear();  // of which nothing is held any more
  cache_->DropSlots();
}

void Sequence::RestartPrompt(std::span<const Token> prompt) {
  CancelPrompt();
  tokens_.clear();
  path_.clear();
  cache_->Rewind(0);
  policy_->Rewind(0);
  cache_->DropSlots();
  StartPrompt(prompt);
}

bool Sequence::CopyIn() {
  if (!cache_->Promise(out_slots_ + 1)) return false;
  const GroupPool& pool = *core_.Pool().pool;
  cache_->RetakeSlots(out_slots_);
  UploadSlots(core_.backend(), pool, cache_->Slots(), LayoutOfSlots(pool, out_slots_), out_);
  policy_->MoveSlots();
  out_ = {};
  out_slots_ = 0;
  is_out_ = false;
  return true;
}

// ----------------------------------------------------------------------------------- rounds

void Sequence::Step(Reader reader, std::span<const Token> tokens, TakeLogits take) {
  const Turn turn(core_.turns());
  const int start = Length();
  const StepRows rows = RowsOf(tokens);
  try {
    take(core_.transformer().Step(reader, {&rows, 1}));
  } catch (...) {
    cache_->Truncate(start);
    throw;
  }
}

void Sequence::Commit(int length) {
  const Turn turn(core_.turns());
  CommitInTurn(length);
}

void Sequence::CommitInTurn(int length) {
  if (length < logits_length_) logits_length_ = kNoLogits;
  cache_->Truncate(length);
  const int sealed = cache_->Sealed();
  cache_->Commit(core_.backend(), RowKind::kDecode);
  if (cache_->Sealed() > sealed) StoreGenerated();
}

void Sequence::KeepLogits(std::span<const float> logits) {
  QS_CHECK(logits.size() == logits_.size());
  std::ranges::copy(logits, logits_.begin());
  logits_length_ = Length();
}

void Sequence::Rewind(int length) {
  const Turn turn(core_.turns());
  if (length < cache_->Committed()) StoreTail();
  tokens_.resize(static_cast<size_t>(length));
  if (length == cache_->Committed()) return;
  logits_length_ = kNoLogits;
  cache_->Rewind(length);
  policy_->Rewind(length);
  path_.resize(std::min(path_.size(), static_cast<size_t>(length / kChunkTokens)));
}

}  // namespace quantspec
