#include "cache/hierarchical_cache.h"

#include <algorithm>

namespace quantspec {
namespace {

constexpr int kTail = 2 * kKvGroup;  // rows of the double buffer

// Groups that are sealed once `tokens` are committed: the newest kKvGroup tokens stay dense.
int SealedGroups(int tokens) { return tokens < kTail ? 0 : tokens / kKvGroup - 1; }

int64_t PromptCapacity(const KvCacheSpec& spec) { return RoundUp(spec.context, kDenseRows); }

}  // namespace

uint64_t HierarchicalCache::Bytes(const KvCacheSpec& spec, const Backend& backend) {
  const SealedBytes sealed = backend.SizeOf(spec.geometry, SealedGroups(spec.context));
  const size_t block = backend.DenseBytes(spec.geometry, spec.dense_type, kKvGroup);
  const size_t prompt = backend.DenseBytes(spec.geometry, spec.dense_type, PromptCapacity(spec));
  return static_cast<uint64_t>(spec.layers) *
             (sealed.upper + sealed.lower + sealed.scales + 4 * block +
              GroupChoice::Bytes(spec.geometry.kv_heads, SealedGroups(spec.context))) +
         2 * prompt;
}

HierarchicalCache::HierarchicalCache(const KvCacheSpec& spec, const Backend& backend)
    : spec_(spec), memory_(Bytes(spec, backend)) {
  const int64_t capacity = SealedGroups(spec.context);
  const SealedBytes bytes = backend.SizeOf(spec.geometry, capacity);
  std::byte* next = memory_.data();
  layers_.resize(static_cast<size_t>(spec.layers));
  // Plane by plane over all layers, so that a reader of the upper planes streams on from one layer
  // to the next.
  for (Layer& layer : layers_) {
    layer.sealed.capacity = capacity;
    layer.sealed.upper = next;
    next += bytes.upper;
  }
  for (Layer& layer : layers_) {
    layer.sealed.scales = next;
    next += bytes.scales;
  }
  for (Layer& layer : layers_) {
    layer.sealed.lower = next;
    next += bytes.lower;
  }
  for (Layer& layer : layers_) {
    for (DenseSegment& block : layer.blocks) block = CarveDense(next, spec, backend, kKvGroup);
    layer.choice = GroupChoice(next, spec.geometry.kv_heads, capacity);
  }
  prompt_ = CarveDense(next, spec, backend, PromptCapacity(spec));
}

int HierarchicalCache::Room() const {
  const int boundary = groups_ * kKvGroup + kTail;
  return std::min(boundary, spec_.context) - length_;
}

void HierarchicalCache::Extend(int tokens) {
  QS_CHECK(tokens >= 0 && tokens <= Room());
  length_ += tokens;
}

DenseSegment HierarchicalCache::TailBlock(const Layer& layer, int index) const {
  const int first = (groups_ + index) * kKvGroup;
  DenseSegment block = layer.blocks[(groups_ + index) % 2];
  block.first_position = first;
  block.rows = std::clamp(length_ - first, 0, kKvGroup);
  return block;
}

KvView HierarchicalCache::View(int layer, Reader reader) {
  Layer& at = layers_[static_cast<size_t>(layer)];
  KvView view;
  view.geometry = spec_.geometry;
  view.sealed = at.sealed;
  view.sealed.groups = groups_;
  const int64_t of_draft = DraftGroups(spec_.draft_context, groups_);
  const bool drafts_choose = of_draft < groups_;
  if (reader == Reader::kDraft) {
    view.planes = Planes::kUpper;
    if (drafts_choose) {
      view.chosen = at.choice.Choose(groups_, of_draft);
      view.chosen_groups = of_draft;
    }
  } else if (drafts_choose) {
    view.group_weights = at.choice.Weights(groups_);
  }
  for (int index = 0; index < 2; ++index) {
    const DenseSegment block = TailBlock(at, index);
    if (block.rows > 0) view.dense[view.dense_count++] = block;
  }
  return view;
}

void HierarchicalCache::Truncate(int length) {
  QS_CHECK(length >= committed_ && length <= length_);
  length_ = length;
}

void HierarchicalCache::Commit(Backend& backend) {
  committed_ = length_;
  if (SealedGroups(length_) <= groups_) return;
  for (Layer& layer : layers_) {
    backend.SealKv(spec_.geometry, TailBlock(layer, 0), 0, layer.sealed, groups_, 1);
  }
  ++groups_;
  QS_CHECK(SealedGroups(length_) == groups_);
}

DenseSegment HierarchicalCache::PromptSegment(int, int tokens) {
  QS_CHECK(length_ == 0 && tokens <= spec_.context);
  return prompt_;
}

void HierarchicalCache::TakePrompt(Backend& backend, int layer, int tokens) {
  const Layer& at = layers_[static_cast<size_t>(layer)];
  const int groups = SealedGroups(tokens);
  DenseSegment prompt = prompt_;
  prompt.rows = tokens;
  if (groups > 0) backend.SealKv(spec_.geometry, prompt, 0, at.sealed, 0, groups);
  for (int first = groups * kKvGroup; first < tokens; first += kKvGroup) {
    const int rows = std::min(kKvGroup, tokens - first);
    backend.CopyKv(spec_.geometry, prompt, first, rows, at.blocks[first / kKvGroup % 2], 0);
  }
}

void HierarchicalCache::EndPrompt(int tokens) {
  length_ = committed_ = tokens;
  groups_ = SealedGroups(tokens);
}

void HierarchicalCache::Clear() {
  length_ = committed_ = groups_ = 0;
  for (Layer& layer : layers_) layer.choice.Forget();
}

void HierarchicalCache::AddTo(Digest& digest, const Backend& backend) const {
  const SealedBytes group = backend.SizeOf(spec_.geometry, 1);
  const auto heads = static_cast<size_t>(spec_.geometry.kv_heads);
  const auto add_plane = [&](const Layer& layer, const std::byte* plane, size_t group_bytes) {
    const size_t of_head = group_bytes / heads;
    for (size_t head = 0; head < heads; ++head) {
      const std::byte* first = plane + head * of_head * static_cast<size_t>(layer.sealed.capacity);
      digest.Add({first, of_head * static_cast<size_t>(groups_)});
    }
  };
  for (const Layer& layer : layers_) {
    if (groups_ > 0) {
      add_plane(layer, layer.sealed.upper, group.upper);
      add_plane(layer, layer.sealed.lower, group.lower);
      add_plane(layer, layer.sealed.scales, group.scales);
    }
    for (int index = 0; index < 2; ++index) {
      AddRows(digest, backend, spec_.geometry, TailBlock(layer, index));
    }
  }
}

uint64_t HierarchicalCache::ReadBytes(const Backend& backend, Reader reader) const {
  const SealedBytes group = backend.SizeOf(spec_.geometry, 1);
  const bool is_target = reader == Reader::kTarget;
  const uint64_t of_group = group.upper + group.scales + (is_target ? group.lower : 0);
  const auto groups =
      static_cast<uint64_t>(is_target ? groups_ : DraftGroups(spec_.draft_context, groups_));
  const auto tail = static_cast<uint64_t>(length_ - groups_ * kKvGroup);
  return static_cast<uint64_t>(spec_.layers) *
         (groups * of_group + tail * DenseRowBytes(spec_.geometry, spec_.dense_type));
}

}  // namespace quantspec
