// What a sequence's cache is made for.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/backend.h"
#include "quantspec/types.h"

namespace quantspec {

struct KvCacheSpec {
  CacheKind kind = CacheKind::kHierarchical;
  KvType dense_type = KvType::kF16;
  KvGeometry geometry;
  int layers = 0;
  int context = 0;  // tokens
  // Of each layer: tokens that a query sees, itself included; 0: all. Empty: no layer has one.
  std::vector<int> windows;
  // Tokens that slots are reserved for when the cache is made; others are promised one by one
  // (KvCache::Promise). 0: the context, until the end.
  int reserve = 0;

  bool grows() const { return reserve > 0; }

  int Window(int layer) const { return windows.empty() ? 0 : windows[static_cast<size_t>(layer)]; }
  // Layers without a window.
  int FullLayers() const {
    const auto windowed = std::ranges::count_if(windows, [](int window) { return window > 0; });
    return layers - static_cast<int>(windowed);
  }
};

}  // namespace quantspec
