// The whole context as one dense segment a layer: the paper's 16-bit baseline, and the float32
// reference. Layers with a window keep that alone.
#pragma once

#include <vector>

#include "cache/kv_cache.h"

namespace quantspec {

class FullCache : public KvCache {
 public:
  // Besides the rings.
  static uint64_t Bytes(const KvCacheSpec& spec, const Backend& backend);
  FullCache(const KvCacheSpec& spec, const Backend& backend);

  int Sealed() const override { return 0; }
  int Room() const override;
  int PromptRoom() const override;
  void StartPrompt(Backend&) override {}
  KvView View(int layer) const override;
  void Commit(Backend&, RowKind) override { committed_ = length_; }
  bool CanRewind(int length) const override;
  void Rewind(int length) override;
  std::unique_ptr<KvCache> Fork(Backend& backend) const override;
  void AddTo(Digest& digest, const Backend& backend) const override;

 private:
  DeviceMemory memory_;
  std::vector<DenseSegment> layers_;  // without a window
};

}  // namespace quantspec
