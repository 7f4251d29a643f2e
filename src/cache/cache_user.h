// For tests: caches over the reference backend, filled with rows that tell their position, and a
// pool for them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "cache/kv_cache.h"

namespace quantspec::cache_user {

inline constexpr KvGeometry kGeometry{2, 64};
inline constexpr int kWidth = 128;
inline constexpr int kLayers = 2;

inline KvCacheSpec SpecOf(CacheKind kind, int context, const std::vector<int>& windows = {}) {
  KvCacheSpec spec;
  spec.kind = kind;
  spec.geometry = kGeometry;
  spec.layers = kLayers;
  spec.context = context;
  spec.windows = windows;
  return spec;
}

// The value of channel `c` of `position`: distinct, exact in f16.
inline float ValueAt(int layer, int position, int channel, bool is_value) {
  return static_cast<float>((position * 7 + channel * 3 + layer * 11 + (is_value ? 5 : 0)) % 512) /
         8.0f;
}

// A pool and what caches need of an engine.
struct World {
  explicit World(int slots, const std::vector<int>& layer_windows = {})
      : windows(layer_windows), backend(MakeReferenceBackend()) {
    ScratchLimits limits;
    limits.rows = 64;
    limits.inputs = 256;
    limits.step_rows = 32;
    limits.sequences = 1;
    limits.positions = (slots + 2) * kKvGroup;
    limits.geometry = kGeometry;
    limits.q_heads = 2;
    backend->Reserve(limits);
    const int pooled = SpecOf(CacheKind::kFull, 1, windows).FullLayers();
    pool = std::make_unique<GroupPool>(GroupPoolSpec{kGeometry, pooled, slots}, *backend);
  }
  PoolAccess access() { return {pool.get(), nullptr, nullptr}; }

  std::vector<int> windows;  // of the layers
  std::unique_ptr<Backend> backend;
  std::unique_ptr<GroupPool> pool;
};

class CacheUser {
 public:
  CacheUser(World& world, CacheKind kind, int context)
      : world_(world),
        cache_(MakeKvCache(SpecOf(kind, context, world.windows), backend(), world.access())) {}

  // Appends rows as a step does; `garbage` writes what a draft would.
  void Append(int rows, bool garbage = false) {
    const int position = cache_->Length();
    cache_->Extend(rows);
    for (int layer = 0; layer < kLayers; ++layer) {
      Fill(layer, position, rows, garbage);
      Store(layer, position, rows);
    }
  }
  // Commits a prompt of `tokens` in pieces of at most `piece`.
  void Prompt(int tokens, int piece = kChunkTokens) {
    cache_->StartPrompt(backend());
    for (int left = tokens; left > 0;) {
      const int rows = std::min({left, piece, cache_->PromptRoom()});
      Append(rows);
      cache_->Commit(backend(), RowKind::kPrompt);
      left -= rows;
    }
  }
  // Generates `tokens` one by one.
  void Generate(int tokens) {
    for (int i = 0; i < tokens; ++i) {
      Append(1);
      cache_->Commit(backend(), RowKind::kDecode);
    }
  }
  // Every live position stands in the view, in order, dense rows with their exact values; with a
  // window, those that the next token sees.
  void ExpectContents() {
    for (int layer = 0; layer < kLayers; ++layer) {
      const KvView view = cache_->View(layer);
      int64_t next = view.Groups() * kKvGroup;
      int64_t first = 0;
      if (const int window = cache_->spec().Window(layer); window > 0) {
        first = std::max(cache_->Committed() + 1 - window, 0);
        next = first / kDenseRows * kDenseRows;
      }
      for (int s = 0; s < view.dense_count; ++s) {
        const DenseSegment& segment = view.dense[s];
        ASSERT_EQ(segment.first_position, next);
        for (int64_t row = 0; row < segment.rows; ++row) {
          if (segment.first_position + row >= first) ExpectRow(layer, segment, row);
        }
        next += segment.rows;
      }
      ASSERT_EQ(next, cache_->Length());
    }
  }
  uint64_t DigestValue() const {
    Digest digest;
    cache_->AddTo(digest, *world_.backend);
    return digest.value();
  }
  KvCache& cache() { return *cache_; }
  Backend& backend() { return *world_.backend; }
  void Take(std::unique_ptr<KvCache> cache) { cache_ = std::move(cache); }

 private:
  void Store(int layer, int position, int rows) {
    const KvView view = cache_->View(layer);
    for (int i = 0; i < view.dense_count; ++i) {
      const DenseSegment& segment = view.dense[i];
      const int64_t first = std::max<int64_t>(position, segment.first_position);
      const int64_t count = segment.first_position + segment.rows - first;
      if (count <= 0) continue;
      const ConstRows k(k_.data(), rows, kWidth), v(v_.data(), rows, kWidth);
      backend().StoreKv(k.Rows(first - position, count), v.Rows(first - position, count), kGeometry,
                        segment, segment.first_row + first - segment.first_position);
    }
  }
  void Fill(int layer, int position, int rows, bool garbage) {
    k_.resize(static_cast<size_t>(rows) * kWidth);
    v_.resize(k_.size());
    for (int row = 0; row < rows; ++row) {
      for (int c = 0; c < kWidth; ++c) {
        const auto at = static_cast<size_t>(row * kWidth + c);
        k_[at] = garbage ? 999.0f : ValueAt(layer, position + row, c, false);
        v_[at] = garbage ? -999.0f : ValueAt(layer, position + row, c, true);
      }
    }
  }
  void ExpectRow(int layer, const DenseSegment& segment, int64_t row) {
    std::vector<float> k(kWidth), v(kWidth);
    backend().LoadKv(kGeometry, segment, segment.first_row + row, k.data(), v.data());
    const int position = static_cast<int>(segment.first_position + row);
    for (int c = 0; c < kWidth; ++c) {
      ASSERT_EQ(k[static_cast<size_t>(c)], ValueAt(layer, position, c, false));
      ASSERT_EQ(v[static_cast<size_t>(c)], ValueAt(layer, position, c, true));
    }
  }

  World& world_;
  std::unique_ptr<KvCache> cache_;
  std::vector<float> k_, v_;
};

}  // namespace quantspec::cache_user
