// One sequence's keys and values over all layers.
//
// Invariants:
//  1. Sealed groups never change.
//  2. Only committed tokens are sealed, so dropping rows of an open round shortens the dense tail
//     and nothing else.
//  3. The verify pass overwrites every drafted row, so after a round the cache equals, byte for
//     byte, that of plain decoding of the committed tokens.
//  4. What is sealed depends on the tokens and on which of them are prompts, never on how a prompt
//     was cut.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/hash.h"
#include "cache/group_pool.h"
#include "cache/kv_cache_spec.h"
#include "cache/window_rings.h"
#include "kernels/backend.h"
#include "quantspec/types.h"

namespace quantspec {

// Tokens of a prompt that are computed and sealed together; a chunk ends at a multiple of it.
inline constexpr int kChunkTokens = 2 * kKvGroup;

// Whether rows are part of a prompt or were generated: decides their arithmetic and what is sealed
// when they are committed.
enum class RowKind : uint8_t { kPrompt, kDecode };

class KvCache {
 public:
  // Takes the rings of the layers with a window. Throws Error{kMemory}.
  KvCache(const KvCacheSpec& spec, const Backend& backend);
  virtual ~KvCache() = default;

  const KvCacheSpec& spec() const { return spec_; }
  // Tokens stored in every layer, those of the open round included.
  int Length() const { return length_; }
  int Committed() const { return committed_; }
  // Tokens in sealed groups.
  virtual int Sealed() const = 0;
  // Rows that a round may append before Commit must be called: to where a group is sealed or the
  // end of the context.
  virtual int Room() const = 0;
  // Rows that a prompt may append: to the next multiple of kChunkTokens or the end of the context.
  virtual int PromptRoom() const = 0;

  // Call before the first row of a prompt: seals every whole chunk that decoding left in the tail.
  // No round is open.
  virtual void StartPrompt(Backend& backend) = 0;
  // Makes room for `rows` more at the end of every layer, at most the room.
  void Extend(int rows);
  // All of `layer` as the target reads it. Valid until the next change.
  virtual KvView View(int layer) const = 0;
  // Drops the rows from `length` on; only rows appended since the last Commit.
  void Truncate(int length);
  // The first Length() tokens are final: seals what is due.
  virtual void Commit(Backend& backend, RowKind kind) = 0;
  // True if the cache can be cut to `length` tokens: its present length, a multiple of kChunkTokens
  // within the sealed part (hierarchical), or any shorter one (full); and with windows one whose
  // newest rows were not overwritten since, or 0.
  virtual bool CanRewind(int length) const = 0;
  // Forgets the committed tokens from `length` on. No round is open.
  virtual void Rewind(int length) = 0;

  // The slots of the sealed groups, in order; none in a full cache.
  virtual std::span<const int32_t> Slots() const { return {}; }
  // Committed tokens from the beginning on whose rows are a prompt's, without a gap.
  virtual int PromptTokens() const { return 0; }
  // Appends a chunk that is sealed already, behind tokens that are all sealed; kDecode: not all of
  // its rows are a prompt's. `rows` are what SaveLastChunk left of it; empty: nothing will be read
  // of its layers with a window.
  virtual void AttachChunk(Backend&, std::span<const int32_t> /*slots*/, RowKind /*kind*/,
                           std::span<const DenseSegment> /*rows*/ = {}) {}
  // Puts equal slots in the place of the last chunk's own ones.
  virtual void ReplaceLastChunk(std::span<const int32_t>) {}
  // Copies the rows of the last sealed chunk, just after that was sealed, of the layers with a
  // window: a segment of kChunkTokens rows each. CanSaveLastChunk: a copy has not all of them.
  bool CanSaveLastChunk() const { return rings_.CanSaveChunk(Sealed() - kChunkTokens); }
  void SaveLastChunk(Backend& backend, std::span<const DenseSegment> rows) const {
    rings_.SaveChunk(backend, Sealed() - kChunkTokens, rows);
  }

  // Makes sure that `slots` more groups can be sealed or attached, as far as the context goes;
  // false if the pool has no room for them now. Always true unless the cache grows.
  virtual bool Promise(int /*slots*/) { return true; }
  // True if it has slots or promises that DropSlots would give back.
  virtual bool HoldsRoom() const { return false; }
  // Gives all slots back, and the promises, and takes as many others, whose bytes the caller puts
  // back. Nothing else may be called in between. For caches that grow; Promise(count) comes before
  // taking. No round is open.
  virtual void DropSlots() {}
  virtual void RetakeSlots(int /*count*/) {}

  // A copy: shares the sealed groups, copies dense rows. No round is open. Throws Error{kMemory}.
  virtual std::unique_ptr<KvCache> Fork(Backend& backend) const = 0;
  // Adds every stored byte of live rows and groups.
  virtual void AddTo(Digest& digest, const Backend& backend) const = 0;

 protected:
  bool IsWindowed(int layer) const { return spec_.Window(layer) > 0; }
  // Of a layer: its number among those with a window, or among those without.
  int PlaceOf(int layer) const { return places_[static_cast<size_t>(layer)]; }

  KvCacheSpec spec_;
  WindowRings rings_;
  std::vector<int> places_;
  int length_ = 0;
  int committed_ = 0;
};

// Where a cache's sealed groups live, and how it gets a slot when none is free.
struct PoolAccess {
  GroupPool* pool = nullptr;
  // Frees a slot that no sequence uses; false if there is none.
  bool (*make_free)(void* context) = nullptr;
  void* context = nullptr;
};

// A slot with one reference, the one behind `after` if that is free; the caller has a reservation
// for it, which promises that one can be made free.
int32_t TakeSlot(const PoolAccess& access, int32_t after);

// Bytes of device memory that MakeKvCache takes besides the pool; exact.
uint64_t KvCacheBytes(const KvCacheSpec& spec, const Backend& backend);
// Slots that a sequence of this kind needs at most.
int SlotsOf(const KvCacheSpec& spec);
// Takes all memory at once, and a reservation of SlotsOf(spec) slots, given back at the end. Throws
// Error{kMemory}. `access` is not used by full caches.
std::unique_ptr<KvCache> MakeKvCache(const KvCacheSpec& spec, const Backend& backend,
                                     const PoolAccess& access);

// For the policies: takes the next bytes of `memory` for a dense segment of `capacity` rows.
DenseSegment CarveDense(std::byte*& memory, const KvCacheSpec& spec, const Backend& backend,
                        int64_t capacity);
// Adds the live rows of a segment to a digest.
void AddRows(Digest& digest, const Backend& backend, KvGeometry geometry,
             const DenseSegment& segment);
// Bytes that one pass over a view reads.
uint64_t ViewBytes(const KvView& view, KvGeometry geometry, const Backend& backend);

}  // namespace quantspec
