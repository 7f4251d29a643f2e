#include "cache/group_pool.h"

#include "base/check.h"

namespace quantspec {

uint64_t GroupPool::Bytes(const GroupPoolSpec& spec, const Backend& backend) {
  const SealedBytes layer = backend.SizeOf(spec.geometry, spec.slots);
  return static_cast<uint64_t>(spec.layers) * (layer.upper + layer.lower + layer.scales);
}

GroupPool::GroupPool(const GroupPoolSpec& spec, const Backend& backend)
    : spec_(spec),
      group_bytes_(backend.SizeOf(spec.geometry, 1)),
      memory_(backend.Allocate(Bytes(spec, backend))),
      layers_(static_cast<size_t>(spec.layers)),
      references_(static_cast<size_t>(spec.slots)),
      holders_(static_cast<size_t>(spec.slots)),
      free_(spec.slots) {
  const SealedBytes bytes = backend.SizeOf(spec.geometry, spec.slots);
  std::byte* next = memory_.data();
  // Plane by plane over all layers, so that a reader of the upper planes streams on from one layer
  // to the next.
  for (SealedSegment& layer : layers_) {
    layer.capacity = spec.slots;
    layer.upper = next;
    next += bytes.upper;
  }
  for (SealedSegment& layer : layers_) {
    layer.scales = next;
    next += bytes.scales;
  }
  for (SealedSegment& layer : layers_) {
    layer.lower = next;
    next += bytes.lower;
  }
}

bool GroupPool::Reserve(int slots) {
  QS_CHECK(slots >= 0);
  if (slots > unreserved()) return false;
  reserved_ += slots;
  return true;
}

void GroupPool::Unreserve(int slots) {
  QS_CHECK(slots >= 0 && slots <= reserved_);
  reserved_ -= slots;
}

void GroupPool::Hold(int32_t slot) {
  QS_CHECK(references(slot) > 0);
  if (holders_[static_cast<size_t>(slot)]++ == 0) ++held_;
}

void GroupPool::Unhold(int32_t slot) {
  QS_CHECK(holders(slot) > 0);
  if (--holders_[static_cast<size_t>(slot)] == 0) --held_;
}

int32_t GroupPool::LongestRun() const {
  int32_t best = 0, best_length = 0, first = 0;
  for (int32_t slot = 0; slot < spec_.slots; ++slot) {
    if (references(slot) > 0) {
      first = slot + 1;
    } else if (slot + 1 - first > best_length) {
      best = first;
      best_length = slot + 1 - first;
    }
  }
  return best;
}

int32_t GroupPool::Take(int32_t after) {
  if (free_ == 0) return -1;
  int32_t slot = after + 1;
  if (after < 0 || slot >= spec_.slots || references(slot) > 0) slot = LongestRun();
  references_[static_cast<size_t>(slot)] = 1;
  --free_;
  return slot;
}

void GroupPool::Share(int32_t slot) {
  QS_CHECK(references(slot) > 0);
  ++references_[static_cast<size_t>(slot)];
}

void GroupPool::Release(int32_t slot) {
  QS_CHECK(references(slot) > 0);
  if (--references_[static_cast<size_t>(slot)] == 0) ++free_;
}

}  // namespace quantspec
