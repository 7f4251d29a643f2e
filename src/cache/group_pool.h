// The engine's sealed groups: slots of kKvGroup tokens over all layers, taken once. A sequence is a
// table of slots; slots are counted by reference, and their bytes never change once sealed.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"

namespace quantspec {

struct GroupPoolSpec {
  KvGeometry geometry;
  int layers = 0;
  int slots = 0;
};

class GroupPool {
 public:
  static uint64_t Bytes(const GroupPoolSpec& spec, const Backend& backend);
  // Throws Error{kMemory}.
  GroupPool(const GroupPoolSpec& spec, const Backend& backend);

  const GroupPoolSpec& spec() const { return spec_; }
  int slots() const { return spec_.slots; }
  int free_slots() const { return free_; }
  // Slots that sequences have a right to. Reserve fails if they would be more than there are beside
  // those held.
  int reserved() const { return reserved_; }
  int unreserved() const { return spec_.slots - reserved_ - held_; }
  bool Reserve(int slots);
  void Unreserve(int slots);

  // Slots that sequences hold whose reservations cover what they do not hold yet, so that a slot
  // which several of them share counts once.
  int held() const { return held_; }
  void Hold(int32_t slot);
  void Unhold(int32_t slot);
  int holders(int32_t slot) const { return holders_[static_cast<size_t>(slot)]; }

  // A free slot with one reference, the one behind `after` if that is free, so that a sequence's
  // groups are neighbours; -1 if none is free.
  int32_t Take(int32_t after);
  void Share(int32_t slot);
  void Release(int32_t slot);
  int references(int32_t slot) const { return references_[static_cast<size_t>(slot)]; }

  // A layer's planes, [kv_head][slot].
  const SealedSegment& Layer(int layer) const { return layers_[static_cast<size_t>(layer)]; }
  // Bytes that one layer's group takes, by plane.
  const SealedBytes& group_bytes() const { return group_bytes_; }

 private:
  // First slot of the longest free run.
  int32_t LongestRun() const;

  GroupPoolSpec spec_;
  SealedBytes group_bytes_;
  DeviceMemory memory_;
  std::vector<SealedSegment> layers_;
  std::vector<int32_t> references_, holders_;
  int free_ = 0;
  int reserved_ = 0;
  int held_ = 0;
};

}  // namespace quantspec
