// What drafts that read single rows of the target's cache have in common: of the older tokens they
// keep some rows of every KV head, gathered in 16 bits; all tokens from some position on they read
// where they are.
#pragma once

#include <vector>

#include "cache/draft_policy.h"

namespace quantspec {

class RowPolicy : public DraftPolicy {
 public:
  KvView View(int layer, const KvView& target) const override;

 protected:
  // Rows [0, rows) of the gathered ones are read, and all tokens from `direct` on: a multiple of
  // kKvGroup within the sealed tokens, else of kDenseRows. direct 0: everything is read in place.
  struct Kept {
    int64_t rows = 0;
    int64_t direct = 0;
  };

  // Bytes of gathered rows and of their positions.
  static uint64_t GatheredBytes(const DraftPolicySpec& spec, const Backend& backend,
                                int64_t capacity);
  // Takes `bytes`: GatheredBytes, and what is left is extra_memory(). Throws Error{kMemory}.
  RowPolicy(const DraftPolicySpec& spec, const Backend& backend, int64_t capacity, uint64_t bytes);

  const DraftPolicySpec& spec() const { return spec_; }
  std::byte* extra_memory() const { return extra_memory_; }
  // Memory of positions [kv_heads][capacity].
  int32_t* positions() const { return positions_; }
  // Gathers the rows at positions() [kv_heads][count] of `from` to rows [to_row, to_row + count).
  void Gather(Backend& backend, int layer, const KvView& from, int64_t count, int64_t to_row);
  // Gathers rows [begin, end) of every head, at most kWeighRows.
  void GatherRange(Backend& backend, int layer, const KvView& from, int64_t begin, int64_t end,
                   int64_t to_row);
  virtual Kept KeptOf(const KvView& target) const = 0;

 private:
  DraftPolicySpec spec_;
  DeviceMemory memory_;
  std::vector<DenseSegment> gathered_;  // of each layer
  int32_t* positions_ = nullptr;
  std::byte* extra_memory_ = nullptr;
};

}  // namespace quantspec
