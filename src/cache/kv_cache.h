// One sequence's keys and values over all layers.
//
// Invariants:
//  1. Sealed groups never change.
//  2. Only accepted tokens are sealed, so rollback shortens the dense tail and nothing else.
//  3. View(kDraft) is View(kTarget) with fewer planes or rows, and both end at the same token.
//  4. Truncate(n) restores exactly what View showed at length n.
//  5. The verify pass overwrites every drafted row, so after a round the cache equals, byte for
//     byte, that of plain decoding of the accepted tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/hash.h"
#include "kernels/backend.h"
#include "quantspec/types.h"

namespace quantspec {

struct KvCacheSpec {
  CacheKind kind = CacheKind::kHierarchical;
  KvType dense_type = KvType::kF16;
  KvGeometry geometry;
  int layers = 0;
  int context = 0;                        // tokens
  int draft_context = kDraftContextAuto;  // SessionOptions::draft_context
};

class KvCache {
 public:
  virtual ~KvCache() = default;

  // Tokens stored in every layer.
  virtual int Length() const = 0;
  // Tokens that may be appended before Commit must be called: to the seal boundary or the end of
  // the context.
  virtual int Room() const = 0;

  // Makes room for `tokens` more (at most Room()) at the end of every layer, which attention fills
  // (AttendArgs::k).
  virtual void Extend(int tokens) = 0;
  // All of `layer` as `reader` sees it. Valid until the next change. Attending over the target's
  // view tells the cache what drafts need.
  virtual KvView View(int layer, Reader reader) = 0;
  // Drops the tokens from `length` on; only tokens appended since the last Commit.
  virtual void Truncate(int length) = 0;
  // The first Length() tokens are accepted: seals what the boundary rule says.
  virtual void Commit(Backend& backend) = 0;

  // Prefill of an empty cache runs layer by layer: `layer`'s keys and values of the whole prompt
  // are collected in one dense segment, attended over in full precision, and then taken over.
  // PromptSegment: where to collect them (capacity >= tokens). TakePrompt: seals whole groups and
  // copies the tail; EndPrompt sets the length after the last layer.
  virtual DenseSegment PromptSegment(int layer, int tokens) = 0;
  virtual void TakePrompt(Backend& backend, int layer, int tokens) = 0;
  virtual void EndPrompt(int tokens) = 0;

  virtual void Clear() = 0;
  // Adds every stored byte of live rows and groups.
  virtual void AddTo(Digest& digest, const Backend& backend) const = 0;
  // Bytes that one step of `reader` reads at the present length, all layers; of a draft, once the
  // target attended.
  virtual uint64_t ReadBytes(const Backend& backend, Reader reader) const = 0;
};

// Bytes that MakeKvCache takes; exact.
uint64_t KvCacheBytes(const KvCacheSpec& spec, const Backend& backend);
// Takes all memory at once.
std::unique_ptr<KvCache> MakeKvCache(const KvCacheSpec& spec, const Backend& backend);

// For the policies: takes the next bytes of `memory` for a dense segment of `capacity` rows, ...
DenseSegment CarveDense(std::byte*& memory, const KvCacheSpec& spec, const Backend& backend,
                        int64_t capacity);
// ... adds the live rows of one to a digest, ...
void AddRows(Digest& digest, const Backend& backend, KvGeometry geometry,
             const DenseSegment& segment);
// ... and the bytes of one token's keys and values in one.
uint64_t DenseRowBytes(KvGeometry geometry, KvType type);

}  // namespace quantspec
