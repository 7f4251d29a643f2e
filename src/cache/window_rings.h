// A sequence's keys and values of the layers whose queries see only the newest tokens.
//
// Rows are dense, at absolute places: position p stands in row p % capacity of a ring of the window
// and what a round may append. So no byte depends on how a prompt was cut, and rows that are
// dropped have overwritten none that is still seen. Nothing of them is ever sealed.
#pragma once

#include <span>
#include <vector>

#include "base/hash.h"
#include "cache/kv_cache_spec.h"

namespace quantspec {

class WindowRings {
 public:
  static uint64_t Bytes(const KvCacheSpec& spec, const Backend& backend);
  // Throws Error{kMemory}.
  WindowRings(const KvCacheSpec& spec, const Backend& backend);

  // One of each layer with a window, in order.
  int count() const { return static_cast<int>(rings_.size()); }
  // Tokens that may be appended to `committed` ones before they are committed.
  static int Room(int committed) { return committed / kStep * kStep + kSpare - committed; }

  // What the target reads of a ring while the rows from `committed` on are open: up to two
  // segments.
  KvView View(int ring, int committed, int length) const;
  // Rows of positions before `length` may be written from now on.
  void Extend(int length);
  // True if all rows are there that a sequence of the first `length` tokens has.
  bool CanRewind(int length) const;
  void Rewind(int length);

  // True if the rows of positions from `begin` on are there.
  bool CanSaveChunk(int begin) const;
  // Copies the rows of tokens [begin, begin + 2 kKvGroup) to `chunk`, a segment of each ring.
  // CanSaveChunk(begin).
  void SaveChunk(Backend& backend, int begin, std::span<const DenseSegment> chunk) const;
  // Takes over what SaveChunk left; `chunk` empty: those rows are not there.
  void LoadChunk(Backend& backend, int begin, std::span<const DenseSegment> chunk);
  // Takes over the rows that a copy of a sequence of `length` tokens has.
  void CopyFrom(Backend& backend, const WindowRings& other, int length);
  // Adds what is stored of the newest tokens, as many as the window has.
  void AddTo(Digest& digest, const Backend& backend, int ring, int length) const;

 private:
  struct Ring {
    DenseSegment rows;
    int window = 0;
    int kept_from = 0;  // rows of positions before it may be overwritten
  };
  static constexpr int kSpare = 2 * kKvGroup;
  static constexpr int kStep = static_cast<int>(kDenseRows);
  // Calls visit(first_row, rows, first_position) for every stretch of the rows of positions
  // [begin, end) of a ring.
  template <typename Visit>
  static void ForStretches(const Ring& ring, int begin, int end, Visit visit);
  // The first of the newest tokens, as many as the window has.
  static int FirstOf(const Ring& ring, int length) { return std::max(length - ring.window, 0); }

  KvGeometry geometry_;
  DeviceMemory memory_;
  std::vector<Ring> rings_;
};

}  // namespace quantspec
