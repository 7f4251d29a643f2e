// Chunks that were computed before, found by their tokens: a trie whose nodes are chunks of
// kChunkTokens tokens and hold a reference on the chunk's slots. The keys and values of a prompt's
// chunk depend on its tokens and those before it alone, so using it changes no bit of an answer.
// Chunks that hold or follow generated tokens stand beside them for PromptReuse::kAll alone. With a
// store on disk, chunks are written there and found again by later processes. Of layers with a
// window, a chunk may also hold its rows, in memory that is scarcer than slots: what no sequence
// has taken goes first, then what was not taken for longest.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/chunk_rows.h"
#include "cache/group_pool.h"
#include "cache/kv_cache.h"
#include "engine/chunk_file.h"
#include "engine/disk_store.h"

namespace quantspec {

class PromptStore {
 public:
  static constexpr size_t kChunkSlots = kChunkTokens / kKvGroup;
  struct Node {
    Node* parent = nullptr;
    std::array<Token, kChunkTokens> tokens;
    std::array<int32_t, kChunkSlots> slots;
    std::vector<std::unique_ptr<Node>> children;
    uint64_t last_used = 0;
    ChunkKey key{};
    ChunkKind kind = ChunkKind::kPrompt;  // kGenerated: all that follow are, too
    int rows = kNoRows;                   // a block of the rows' memory
    bool gave_rows = false;
  };
  static constexpr int kNoRows = -1;

  // `rows` is null for models that have no layer with a window.
  explicit PromptStore(GroupPool& pool, ChunkRows* rows = nullptr);
  ~PromptStore();
  PromptStore(const PromptStore&) = delete;
  PromptStore& operator=(const PromptStore&) = delete;

  // Chunks come from there and go there from now on.
  void UseDisk(const DiskStoreSpec& spec, const Backend& backend);
  DiskStore* disk() { return disk_ ? disk_.get() : nullptr; }

  // What stands before the first chunks of prompts with this salt. Valid until the next call.
  Node* Root(std::string_view salt);
  // The chunk of `tokens` behind `parent` (null: the root of no salt); null if it is not stored.
  // With kAll one of either kind, rather the prompt's. Valid while somebody else holds its slots.
  Node* Find(Node* parent, std::span<const Token> tokens,
             PromptReuse reuse = PromptReuse::kPrompts);
  // Stores a chunk, whose slots it takes a reference on, unless one of that kind is there; returns
  // the stored one.
  Node* Add(Node* parent, std::span<const Token> tokens, std::span<const int32_t> slots,
            ChunkKind kind = ChunkKind::kPrompt);
  // Slots of the chunks that `prompt` begins with, as Find finds them, and that sequences hold now.
  int CountHeld(std::string_view salt, std::span<const Token> prompt,
                PromptReuse reuse = PromptReuse::kPrompts);
  // Reads the chunk from disk, of the kinds that Find looks for, into free slots of the pool, which
  // `access` supplies; null if it is not there.
  Node* Restore(Node* parent, std::span<const Token> tokens, const PoolAccess& access,
                PromptReuse reuse = PromptReuse::kPrompts);
  // A sequence uses the chunk: keeps it on disk, too.
  void Use(const Node& node);
  // Drops the least recently used chunk that no sequence uses and no other follows; false if there
  // is none.
  bool EvictOne();
  int chunks() const { return chunks_; }  // any thread

  // A chunk's rows, for a sequence to take; empty if it holds none.
  std::span<const DenseSegment> TakeRows(Node* node);
  // Where a chunk's rows are to be written, now; empty if it holds them already or there is no
  // memory for any.
  std::span<const DenseSegment> AddRows(Node* node);

 private:
  Node* FindKind(Node& parent, std::span<const Token> tokens, ChunkKind kind);
  Node* RestoreKind(Node& parent, std::span<const Token> tokens, const PoolAccess& access,
                    ChunkKind kind);
  Node* Oldest(Node& node) const;
  bool IsUnused(const Node& node) const;
  void ReleaseRows(Node& node);

  Node& At(Node* parent) { return parent == nullptr ? *Root({}) : *parent; }

  GroupPool& pool_;
  ChunkRows* rows_;
  std::vector<Node*> holders_;        // of each block of rows; null: it is free
  const Backend* backend_ = nullptr;  // of the disk's chunks
  std::unique_ptr<DiskStore> disk_;
  Sha256Hash fingerprint_{};
  std::map<std::string, std::unique_ptr<Node>, std::less<>> roots_;  // by salt
  std::atomic<int> chunks_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace quantspec
