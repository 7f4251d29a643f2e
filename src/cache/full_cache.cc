#include "cache/full_cache.h"

#include <algorithm>

namespace quantspec {
namespace {

int64_t Capacity(const KvCacheSpec& spec) { return RoundUp(spec.context, kDenseRows); }

}  // namespace

uint64_t FullCache::Bytes(const KvCacheSpec& spec, const Backend& backend) {
  return 2u * static_cast<uint64_t>(spec.FullLayers()) *
         backend.DenseBytes(spec.geometry, spec.dense_type, Capacity(spec));
}

FullCache::FullCache(const KvCacheSpec& spec, const Backend& backend)
    : KvCache(spec, backend), memory_(backend.Allocate(Bytes(spec, backend))) {
  std::byte* next = memory_.data();
  for (int layer = 0; layer < spec.FullLayers(); ++layer) {
    layers_.push_back(CarveDense(next, spec, backend, Capacity(spec)));
  }
}

int FullCache::Room() const {
  const int left = spec_.context - length_;
  if (rings_.count() == 0) return left;
  return std::min(left, WindowRings::Room(committed_) - (length_ - committed_));
}

int FullCache::PromptRoom() const {
  return std::min(kChunkTokens - length_ % kChunkTokens, spec_.context - length_);
}

KvView FullCache::View(int layer) const {
  if (IsWindowed(layer)) return rings_.View(PlaceOf(layer), committed_, length_);
  KvView view;
  view.dense[0] = layers_[static_cast<size_t>(PlaceOf(layer))];
  view.dense[0].rows = length_;
  view.dense_count = 1;
  return view;
}

bool FullCache::CanRewind(int length) const {
  return length == committed_ || (length >= 0 && length < committed_ && rings_.CanRewind(length));
}

void FullCache::Rewind(int length) {
  QS_CHECK(CanRewind(length) && length_ == committed_);
  if (length == committed_) return;
  rings_.Rewind(length);
  length_ = committed_ = length;
}

std::unique_ptr<KvCache> FullCache::Fork(Backend& backend) const {
  QS_CHECK(length_ == committed_);
  auto copy = std::make_unique<FullCache>(spec_, backend);
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    backend.CopyKv(spec_.geometry, layers_[layer], 0, length_, copy->layers_[layer], 0);
  }
  copy->rings_.CopyFrom(backend, rings_, length_);
  copy->length_ = copy->committed_ = length_;
  return copy;
}

void FullCache::AddTo(Digest& digest, const Backend& backend) const {
  for (int layer = 0; layer < spec_.layers; ++layer) {
    if (IsWindowed(layer)) {
      rings_.AddTo(digest, backend, PlaceOf(layer), length_);
    } else {
      AddRows(digest, backend, spec_.geometry, View(layer).dense[0]);
    }
  }
}

}  // namespace quantspec
