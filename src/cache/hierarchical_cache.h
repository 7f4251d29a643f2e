// QuantSpec's cache: sealed HQ8 groups, then a dense tail in a double buffer.
//
// The tail is two blocks of kKvGroup rows; position p stands in block (p / kKvGroup) % 2, so the
// older block C_F1 and the newer one C_F2 swap roles without copying. When a committed round fills
// C_F2, C_F1 becomes a sealed group. Room() ends at that boundary, so the moment of sealing depends
// on the tokens alone and never on gamma. [quantspec 4.3.2, Algorithm 1]
#pragma once

#include <vector>

#include "base/buffer.h"
#include "cache/group_choice.h"
#include "cache/kv_cache.h"

namespace quantspec {

class HierarchicalCache : public KvCache {
 public:
  static uint64_t Bytes(const KvCacheSpec& spec, const Backend& backend);
  HierarchicalCache(const KvCacheSpec& spec, const Backend& backend);

  int Length() const override { return length_; }
  int Room() const override;
  void Extend(int tokens) override;
  KvView View(int layer, Reader reader) override;
  void Truncate(int length) override;
  void Commit(Backend& backend) override;
  DenseSegment PromptSegment(int layer, int tokens) override;
  void TakePrompt(Backend& backend, int layer, int tokens) override;
  void EndPrompt(int tokens) override;
  void Clear() override;
  void AddTo(Digest& digest, const Backend& backend) const override;
  uint64_t ReadBytes(const Backend& backend, Reader reader) const override;

  int groups() const { return groups_; }

 private:
  struct Layer {
    SealedSegment sealed;
    DenseSegment blocks[2];
    GroupChoice choice;
  };
  // Block `index` of the tail, 0 = C_F1, as it stands now.
  DenseSegment TailBlock(const Layer& layer, int index) const;

  KvCacheSpec spec_;
  Buffer memory_;
  std::vector<Layer> layers_;
  DenseSegment prompt_;  // one layer's keys and values during prefill
  int length_ = 0;
  int committed_ = 0;
  int groups_ = 0;  // sealed
};

}  // namespace quantspec
