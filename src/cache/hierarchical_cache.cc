#include "cache/hierarchical_cache.h"

#include <algorithm>
#include <string>

#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int kTail = 2 * kKvGroup;  // rows of the double buffer

size_t TableBytes(const KvCacheSpec& spec) {
  return static_cast<size_t>(RoundUp(SlotsOf(spec) * int64_t{sizeof(int32_t)}, 64));
}

}  // namespace

uint64_t HierarchicalCache::Bytes(const KvCacheSpec& spec, const Backend& backend) {
  const size_t block = backend.DenseBytes(spec.geometry, spec.dense_type, kKvGroup);
  return static_cast<uint64_t>(spec.FullLayers()) * 4 * block + TableBytes(spec);
}

HierarchicalCache::HierarchicalCache(const KvCacheSpec& spec, const Backend& backend,
                                     const PoolAccess& access)
    : KvCache(spec, backend),
      backend_(backend),
      access_(access),
      memory_(backend.Allocate(Bytes(spec, backend))),
      layers_(static_cast<size_t>(spec.FullLayers())) {
  std::byte* next = memory_.data();
  for (Blocks& layer : layers_) {
    for (DenseSegment& block : layer.block) block = CarveDense(next, spec, backend, kKvGroup);
  }
  slot_table_ = reinterpret_cast<int32_t*>(next);
  slots_.reserve(static_cast<size_t>(SlotsOf(spec)));
  const GroupPool& pool = *access.pool;
  const int slots = spec.grows() ? std::min(SlotsOf(spec), spec.reserve / kKvGroup) : SlotsOf(spec);
  if (!access.pool->Reserve(slots)) {
    throw Error(ErrorKind::kMemory,
                "a context of " + std::to_string(spec.context) + " tokens needs " +
                    std::to_string(slots) + " groups of the cache, but " +
                    std::to_string(pool.unreserved()) + " of " + std::to_string(pool.slots()) +
                    " are not reserved; use a smaller context or a larger --cache-tokens");
  }
  promised_ = slots;
}

HierarchicalCache::~HierarchicalCache() {
  while (!slots_.empty()) ReleaseLastSlot();
  access_.pool->Unreserve(promised_);
}

int HierarchicalCache::Room() const { return std::min(Sealed() + kTail, spec_.context) - length_; }

int HierarchicalCache::PromptRoom() const {
  return std::min(kChunkTokens - length_ % kChunkTokens, spec_.context - length_);
}

DenseSegment HierarchicalCache::TailBlock(int place, int index) const {
  const int number = static_cast<int>(slots_.size()) + index;
  DenseSegment block = layers_[static_cast<size_t>(place)].block[number % 2];
  block.first_position = int64_t{number} * kKvGroup;
  block.rows = std::clamp<int64_t>(length_ - block.first_position, 0, kKvGroup);
  return block;
}

KvView HierarchicalCache::View(int layer) const {
  const int place = PlaceOf(layer);
  if (IsWindowed(layer)) return rings_.View(place, committed_, length_);
  KvView view;
  view.sealed = access_.pool->Layer(place);
  if (!slots_.empty()) {
    view.runs[0].slots = slot_table_;
    view.runs[0].count = static_cast<int64_t>(slots_.size());
    view.run_count = 1;
  }
  for (int index = 0; index < 2; ++index) {
    const DenseSegment block = TailBlock(place, index);
    if (block.rows > 0) view.dense[view.dense_count++] = block;
  }
  return view;
}

void HierarchicalCache::AddSlot(int32_t slot) {
  if (spec_.grows()) {
    // What others hold is there already: the promise stays for another one.
    const bool is_new = access_.pool->holders(slot) == 0;
    access_.pool->Hold(slot);
    if (is_new) {
      QS_CHECK(promised_ > 0);
      --promised_;
      access_.pool->Unreserve(1);
    }
  }
  slots_.push_back(slot);
  backend_.Upload(&slot, sizeof(slot), slot_table_ + slots_.size() - 1);
}

void HierarchicalCache::ReleaseLastSlot() {
  if (spec_.grows()) access_.pool->Unhold(slots_.back());
  access_.pool->Release(slots_.back());
  slots_.pop_back();
}

bool HierarchicalCache::Promise(int slots) {
  if (!spec_.grows()) return true;
  const int more = std::min(slots, SlotsOf(spec_) - static_cast<int>(slots_.size())) - promised_;
  if (more <= 0) return true;
  if (!access_.pool->Reserve(more)) return false;
  promised_ += more;
  return true;
}

void HierarchicalCache::DropSlots() {
  QS_CHECK(spec_.grows() && length_ == committed_);
  while (!slots_.empty()) ReleaseLastSlot();
  access_.pool->Unreserve(promised_);
  promised_ = 0;
}

void HierarchicalCache::RetakeSlots(int count) {
  QS_CHECK(slots_.empty());
  for (int i = 0; i < count; ++i) AddSlot(TakeSlot(access_, slots_.empty() ? -1 : slots_.back()));
}

void HierarchicalCache::SealTo(Backend& backend, int tokens) {
  while (Sealed() < tokens) {
    const int32_t slot = TakeSlot(access_, slots_.empty() ? -1 : slots_.back());
    for (int place = 0; place < spec_.FullLayers(); ++place) {
      backend.SealKv(spec_.geometry, TailBlock(place, 0), 0, access_.pool->Layer(place), slot);
    }
    AddSlot(slot);
  }
}

void HierarchicalCache::StartPrompt(Backend& backend) {
  QS_CHECK(length_ == committed_);
  SealTo(backend, length_ / kChunkTokens * kChunkTokens);
}

void HierarchicalCache::Commit(Backend& backend, RowKind kind) {
  if (kind == RowKind::kPrompt) {
    SealTo(backend, length_ / kChunkTokens * kChunkTokens);
  } else {
    if (length_ > committed_) first_generated_ = std::min(first_generated_, committed_);
    if (length_ == Sealed() + kTail) SealTo(backend, Sealed() + kKvGroup);
  }
  committed_ = length_;
}

bool HierarchicalCache::CanRewind(int length) const {
  if (length == committed_) return true;
  return length >= 0 && length % kChunkTokens == 0 && length <= Sealed() &&
         rings_.CanRewind(length);
}

void HierarchicalCache::Rewind(int length) {
  QS_CHECK(length_ == committed_ && CanRewind(length));
  if (length == committed_) return;
  rings_.Rewind(length);
  while (Sealed() > length) ReleaseLastSlot();
  length_ = committed_ = length;
  if (length <= first_generated_) first_generated_ = std::numeric_limits<int>::max();
}

void HierarchicalCache::AttachChunk(Backend& backend, std::span<const int32_t> slots, RowKind kind,
                                    std::span<const DenseSegment> rows) {
  QS_CHECK(length_ == committed_ && length_ == Sealed());
  QS_CHECK(kind == RowKind::kDecode || PromptTokens() == committed_);
  if (kind == RowKind::kDecode) first_generated_ = std::min(first_generated_, length_);
  rings_.LoadChunk(backend, length_, rows);
  for (const int32_t slot : slots) {
    access_.pool->Share(slot);
    AddSlot(slot);
  }
  length_ = committed_ = Sealed();
}

void HierarchicalCache::ReplaceLastChunk(std::span<const int32_t> slots) {
  QS_CHECK(slots.size() <= slots_.size());
  for (const int32_t slot : slots) access_.pool->Share(slot);
  for (size_t i = 0; i < slots.size(); ++i) ReleaseLastSlot();
  // The own ones made room for as many.
  QS_CHECK(Promise(static_cast<int>(slots.size())));
  for (const int32_t slot : slots) AddSlot(slot);
}

std::unique_ptr<KvCache> HierarchicalCache::Fork(Backend& backend) const {
  QS_CHECK(length_ == committed_);
  auto copy = std::make_unique<HierarchicalCache>(spec_, backend_, access_);
  for (const int32_t slot : slots_) {
    access_.pool->Share(slot);
    copy->AddSlot(slot);
  }
  copy->length_ = copy->committed_ = length_;
  copy->first_generated_ = first_generated_;
  for (int place = 0; place < spec_.FullLayers(); ++place) {
    for (int index = 0; index < 2; ++index) {
      const DenseSegment from = TailBlock(place, index);
      if (from.rows == 0) continue;
      backend.CopyKv(spec_.geometry, from, 0, from.rows, copy->TailBlock(place, index), 0);
    }
  }
  copy->rings_.CopyFrom(backend, rings_, length_);
  return copy;
}

void HierarchicalCache::AddPlane(Digest& digest, const Backend& backend, const std::byte* plane,
                                 size_t group_bytes) const {
  const auto heads = static_cast<size_t>(spec_.geometry.kv_heads);
  const size_t of_head = group_bytes / heads;
  std::vector<std::byte> bytes(of_head);
  for (size_t head = 0; head < heads; ++head) {
    for (const int32_t slot : slots_) {
      const size_t at =
          head * static_cast<size_t>(access_.pool->slots()) + static_cast<size_t>(slot);
      backend.Download(plane + at * of_head, of_head, bytes.data());
      digest.Add(bytes);
    }
  }
}

void HierarchicalCache::AddTo(Digest& digest, const Backend& backend) const {
  const SealedBytes& group = access_.pool->group_bytes();
  for (int layer = 0; layer < spec_.layers; ++layer) {
    const int place = PlaceOf(layer);
    if (IsWindowed(layer)) {
      rings_.AddTo(digest, backend, place, length_);
      continue;
    }
    const SealedSegment& sealed = access_.pool->Layer(place);
    AddPlane(digest, backend, sealed.upper, group.upper);
    AddPlane(digest, backend, sealed.lower, group.lower);
    AddPlane(digest, backend, sealed.scales, group.scales);
    for (int index = 0; index < 2; ++index) {
      AddRows(digest, backend, spec_.geometry, TailBlock(place, index));
    }
  }
}

}  // namespace quantspec
