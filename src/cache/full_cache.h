// The whole context as one dense segment a layer: the paper's 16-bit baseline, and the float32
// reference.
#pragma once

#include <vector>

#include "cache/kv_cache.h"

namespace quantspec {

class FullCache : public KvCache {
 public:
  static uint64_t Bytes(const KvCacheSpec& spec, const Backend& backend);
  FullCache(const KvCacheSpec& spec, const Backend& backend);

  int Sealed() const override { return 0; }
  int Room() const override { return spec_.context - length_; }
  int PromptRoom() const override;
  void StartPrompt(Backend&) override {}
  KvView View(int layer) const override;
  void Commit(Backend&, RowKind) override { committed_ = length_; }
  bool CanRewind(int length) const override { return length >= 0 && length <= committed_; }
  void Rewind(int length) override;
  std::unique_ptr<KvCache> Fork(Backend& backend) const override;
  void AddTo(Digest& digest, const Backend& backend) const override;

 private:
  DeviceMemory memory_;
  std::vector<DenseSegment> layers_;
};

}  // namespace quantspec
