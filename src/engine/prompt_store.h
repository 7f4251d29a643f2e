// Chunks of prompts that were computed before, found by their tokens: a trie whose nodes are chunks
// of kChunkTokens tokens and hold a reference on the chunk's slots. A chunk's keys and values
// depend on its tokens and those before it alone, so using a stored chunk changes no bit of an
// answer.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/group_pool.h"
#include "cache/kv_cache.h"

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
  };

  explicit PromptStore(GroupPool& pool) : pool_(pool) {}
  ~PromptStore();
  PromptStore(const PromptStore&) = delete;
  PromptStore& operator=(const PromptStore&) = delete;

  // The chunk of `tokens` behind `parent` (null: the beginning); null if it is not stored. Valid
  // while somebody else holds its slots.
  Node* Find(Node* parent, std::span<const Token> tokens);
  // Stores a chunk, whose slots it takes a reference on, unless it is there; returns the stored
  // one.
  Node* Add(Node* parent, std::span<const Token> tokens, std::span<const int32_t> slots);
  // Drops the least recently used chunk that no sequence uses and no other follows; false if there
  // is none.
  bool EvictOne();
  int chunks() const { return chunks_; }

 private:
  Node* Oldest(Node& node) const;
  bool IsUnused(const Node& node) const;

  GroupPool& pool_;
  Node root_;
  int chunks_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace quantspec
