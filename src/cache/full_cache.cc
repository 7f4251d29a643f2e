#include "cache/full_cache.h"

namespace quantspec {
namespace {

int64_t Capacity(const KvCacheSpec& spec) { return RoundUp(spec.context, kDenseRows); }

}  // namespace

uint64_t FullCache::Bytes(const KvCacheSpec& spec, const Backend& backend) {
  return 2u * static_cast<uint64_t>(spec.layers) *
         backend.DenseBytes(spec.geometry, spec.dense_type, Capacity(spec));
}

FullCache::FullCache(const KvCacheSpec& spec, const Backend& backend)
    : spec_(spec), memory_(Bytes(spec, backend)) {
  std::byte* next = memory_.data();
  for (int layer = 0; layer < spec.layers; ++layer) {
    layers_.push_back(CarveDense(next, spec, backend, Capacity(spec)));
  }
}

void FullCache::Extend(int tokens) {
  QS_CHECK(tokens >= 0 && tokens <= Room());
  length_ += tokens;
}

DenseSegment FullCache::Live(int layer) const {
  DenseSegment live = layers_[static_cast<size_t>(layer)];
  live.rows = length_;
  return live;
}

KvView FullCache::View(int layer, Reader) {
  KvView view;
  view.geometry = spec_.geometry;
  view.dense[0] = Live(layer);
  view.dense_count = 1;
  return view;
}

void FullCache::Truncate(int length) {
  QS_CHECK(length >= committed_ && length <= length_);
  length_ = length;
}

void FullCache::Commit(Backend&) { committed_ = length_; }

DenseSegment FullCache::PromptSegment(int layer, int tokens) {
  QS_CHECK(length_ == 0 && tokens <= spec_.context);
  return layers_[static_cast<size_t>(layer)];
}

void FullCache::TakePrompt(Backend&, int, int) {}  // it was collected where it belongs

void FullCache::EndPrompt(int tokens) { length_ = committed_ = tokens; }

void FullCache::AddTo(Digest& digest, const Backend& backend) const {
  for (int layer = 0; layer < spec_.layers; ++layer) {
    AddRows(digest, backend, spec_.geometry, Live(layer));
  }
}

uint64_t FullCache::ReadBytes(const Backend&, Reader) const {
  return static_cast<uint64_t>(spec_.layers) * static_cast<uint64_t>(length_) *
         DenseRowBytes(spec_.geometry, spec_.dense_type);
}

}  // namespace quantspec
