// QuantSpec's cache: a table of sealed groups in the engine's pool, then a dense tail in a double
// buffer.
//
// The tail is two blocks of kKvGroup rows; position p stands in block (p / kKvGroup) % 2, so the
// older block C_F1 and the newer one C_F2 swap roles without copying. While decoding, C_F1 is
// sealed when a round has filled C_F2; a prompt seals both at the end of each chunk. Room() ends
// where a group is sealed, so that moment depends on the tokens alone. [quantspec 4.3.2, Algorithm
// 1] Layers with a window have no part in this: they keep that window in 16 bits.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "cache/kv_cache.h"

namespace quantspec {

class HierarchicalCache : public KvCache {
 public:
  // Besides the rings.
  static uint64_t Bytes(const KvCacheSpec& spec, const Backend& backend);
  HierarchicalCache(const KvCacheSpec& spec, const Backend& backend, const PoolAccess& access);
  ~HierarchicalCache() override;

  int Sealed() const override { return static_cast<int>(slots_.size()) * kKvGroup; }
  int Room() const override;
  int PromptRoom() const override;
  void StartPrompt(Backend& backend) override;
  KvView View(int layer) const override;
  void Commit(Backend& backend, RowKind kind) override;
  bool CanRewind(int length) const override;
  void Rewind(int length) override;
  std::span<const int32_t> Slots() const override { return slots_; }
  int PromptTokens() const override { return std::min(first_generated_, committed_); }
  void AttachChunk(Backend& backend, std::span<const int32_t> slots, RowKind kind,
                   std::span<const DenseSegment> rows = {}) override;
  void ReplaceLastChunk(std::span<const int32_t> slots) override;
  bool Promise(int slots) override;
  bool HoldsRoom() const override { return !slots_.empty() || promised_ > 0; }
  void DropSlots() override;
  void RetakeSlots(int count) override;
  std::unique_ptr<KvCache> Fork(Backend& backend) const override;
  void AddTo(Digest& digest, const Backend& backend) const override;

 private:
  struct Blocks {
    DenseSegment block[2];
  };
  // Block `index` of the tail, 0 = C_F1, as it stands now, of the layer at a place among those
  // without a window.
  DenseSegment TailBlock(int place, int index) const;
  // Adds a plane of the sealed groups to a digest.
  void AddPlane(Digest& digest, const Backend& backend, const std::byte* plane,
                size_t group_bytes) const;
  // Seals groups until `tokens` tokens are sealed.
  void SealTo(Backend& backend, int tokens);
  void AddSlot(int32_t slot);
  void ReleaseLastSlot();

  const Backend& backend_;
  PoolAccess access_;
  DeviceMemory memory_;
  std::vector<Blocks> layers_;     // without a window
  std::vector<int32_t> slots_;     // of the sealed groups, in order
  int32_t* slot_table_ = nullptr;  // the same, device memory
  int promised_ = 0;               // reserved in the pool; those in slots_ included unless it grows
  // Position of the first committed row that is not a prompt's; of attached chunks, the first one's
  // beginning.
  int first_generated_ = std::numeric_limits<int>::max();
};

}  // namespace quantspec
