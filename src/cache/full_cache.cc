#include "cache/full_cache.h"

#include <algorithm>

namespace quantspec {
namespace {

int64_t Capacity(const KvCacheSpec& spec) { return RoundUp(spec.context, kDenseRows); }

}  // namespace

uint64_t FullCache::Bytes(const KvCacheSpec& spec, const Backend& backend) {
  return 2u * static_cast<uint64_t>(spec.layers) *
         backend.DenseBytes(spec.geometry, spec.dense_type, Capacity(spec));
}

FullCache::FullCache(const KvCacheSpec& spec, const Backend& backend)
    : KvCache(spec), memory_(backend.Allocate(Bytes(spec, backend))) {
  std::byte* next = memory_.data();
  for (int layer = 0; layer < spec.layers; ++layer) {
    layers_.push_back(CarveDense(next, spec, backend, Capacity(spec)));
  }
}

int FullCache::PromptRoom() const {
  return std::min(kChunkTokens - length_ % kChunkTokens, spec_.context - length_);
}

KvView FullCache::View(int layer) const {
  KvView view;
  view.dense[0] = layers_[static_cast<size_t>(layer)];
  view.dense[0].rows = length_;
  view.dense_count = 1;
  return view;
}

void FullCache::Rewind(int length) {
  QS_CHECK(CanRewind(length) && length_ == committed_);
  length_ = committed_ = length;
}

std::unique_ptr<KvCache> FullCache::Fork(Backend& backend) const {
  QS_CHECK(length_ == committed_);
  auto copy = std::make_unique<FullCache>(spec_, backend);
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    backend.CopyKv(spec_.geometry, layers_[layer], 0, length_, copy->layers_[layer], 0);
  }
  copy->length_ = copy->committed_ = length_;
  return copy;
}

void FullCache::AddTo(Digest& digest, const Backend& backend) const {
  for (int layer = 0; layer < spec_.layers; ++layer) {
    AddRows(digest, backend, spec_.geometry, View(layer).dense[0]);
  }
}

}  // namespace quantspec
