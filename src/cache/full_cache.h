// The whole context as one dense segment a layer: the paper's 16-bit baseline, and the float32
// reference. Draft and target see the same.
#pragma once

#include <vector>

#include "base/buffer.h"
#include "cache/kv_cache.h"

namespace quantspec {

class FullCache : public KvCache {
 public:
  static uint64_t Bytes(const KvCacheSpec& spec, const Backend& backend);
  FullCache(const KvCacheSpec& spec, const Backend& backend);

  int Length() const override { return length_; }
  int Room() const override { return spec_.context - length_; }
  void Extend(int tokens) override;
  KvView View(int layer, Reader reader) override;
  void Truncate(int length) override;
  void Commit(Backend& backend) override;
  DenseSegment PromptSegment(int layer, int tokens) override;
  void TakePrompt(Backend& backend, int layer, int tokens) override;
  void EndPrompt(int tokens) override;
  void Clear() override { length_ = committed_ = 0; }
  void AddTo(Digest& digest, const Backend& backend) const override;
  uint64_t ReadBytes(const Backend& backend, Reader reader) const override;

 private:
  DenseSegment Live(int layer) const;

  KvCacheSpec spec_;
  Buffer memory_;
  std::vector<DenseSegment> layers_;
  int length_ = 0;
  int committed_ = 0;
};

}  // namespace quantspec
