#include "engine/prompt_store.h"

#include <algorithm>

#include "base/check.h"

namespace quantspec {
namespace {

void ReleaseAll(GroupPool& pool, const PromptStore::Node& node) {
  for (const auto& child : node.children) {
    ReleaseAll(pool, *child);
    for (const int32_t slot : child->slots) pool.Release(slot);
  }
}

}  // namespace

PromptStore::~PromptStore() { ReleaseAll(pool_, root_); }

PromptStore::Node* PromptStore::Find(Node* parent, std::span<const Token> tokens) {
  QS_CHECK(tokens.size() == kChunkTokens);
  for (const auto& child : (parent == nullptr ? root_ : *parent).children) {
    if (!std::ranges::equal(child->tokens, tokens)) continue;
    child->last_used = ++clock_;
    return child.get();
  }
  return nullptr;
}

PromptStore::Node* PromptStore::Add(Node* parent, std::span<const Token> tokens,
                                    std::span<const int32_t> slots) {
  if (Node* found = Find(parent, tokens)) return found;
  QS_CHECK(slots.size() == kChunkSlots);
  auto node = std::make_unique<Node>();
  node->parent = parent == nullptr ? &root_ : parent;
  std::ranges::copy(tokens, node->tokens.begin());
  std::ranges::copy(slots, node->slots.begin());
  node->last_used = ++clock_;
  auto& siblings = node->parent->children;
  siblings.push_back(std::move(node));
  for (const int32_t slot : slots) pool_.Share(slot);
  ++chunks_;
  return siblings.back().get();
}

bool PromptStore::IsUnused(const Node& node) const {
  return std::ranges::all_of(node.slots, [&](int32_t slot) { return pool_.references(slot) == 1; });
}

// Among the leaves below `node` that are unused.
PromptStore::Node* PromptStore::Oldest(Node& node) const {
  Node* oldest = nullptr;
  for (const auto& child : node.children) {
    Node* found =
        child->children.empty() ? (IsUnused(*child) ? child.get() : nullptr) : Oldest(*child);
    if (found != nullptr && (oldest == nullptr || found->last_used < oldest->last_used)) {
      oldest = found;
    }
  }
  return oldest;
}

bool PromptStore::EvictOne() {
  Node* node = Oldest(root_);
  if (node == nullptr) return false;
  for (const int32_t slot : node->slots) pool_.Release(slot);
  std::erase_if(node->parent->children, [&](const auto& child) { return child.get() == node; });
  --chunks_;
  return true;
}

}  // namespace quantspec
