#include "engine/prompt_store.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/chunk_planes.h"

namespace quantspec {
namespace {

void ReleaseAll(GroupPool& pool, const PromptStore::Node& node) {
  for (const auto& child : node.children) {
    ReleaseAll(pool, *child);
    for (const int32_t slot : child->slots) pool.Release(slot);
  }
}

}  // namespace

PromptStore::PromptStore(GroupPool& pool, ChunkRows* rows)
    : pool_(pool),
      rows_(rows),
      holders_(rows == nullptr ? 0 : static_cast<size_t>(rows->blocks()), nullptr) {}

PromptStore::~PromptStore() {
  for (const auto& [salt, root] : roots_) ReleaseAll(pool_, *root);
}

void PromptStore::UseDisk(const DiskStoreSpec& spec, const Backend& backend) {
  QS_CHECK(chunks_ == 0);
  backend_ = &backend;
  fingerprint_ = spec.fingerprint;
  roots_.clear();  // their keys begin with the fingerprint
  disk_ = std::make_unique<DiskStore>(spec, LayoutOfSlots(pool_, kChunkSlots));
}

PromptStore::Node* PromptStore::Root(std::string_view salt) {
  if (const auto found = roots_.find(salt); found != roots_.end()) return found->second.get();
  // Salts that nobody uses any more must not add up.
  std::erase_if(roots_, [](const auto& root) { return root.second->children.empty(); });
  auto root = std::make_unique<Node>();
  root->key = RootKey(fingerprint_, salt);
  return roots_.emplace(salt, std::move(root)).first->second.get();
}

PromptStore::Node* PromptStore::FindKind(Node& parent, std::span<const Token> tokens,
                                         ChunkKind kind) {
  QS_CHECK(tokens.size() == kChunkTokens);
  for (const auto& child : parent.children) {
    if (child->kind != kind || !std::ranges::equal(child->tokens, tokens)) continue;
    child->last_used = ++clock_;
    return child.get();
  }
  return nullptr;
}

PromptStore::Node* PromptStore::Find(Node* parent, std::span<const Token> tokens,
                                     PromptReuse reuse) {
  Node* found = FindKind(At(parent), tokens, ChunkKind::kPrompt);
  if (found == nullptr && reuse == PromptReuse::kAll) {
    found = FindKind(At(parent), tokens, ChunkKind::kGenerated);
  }
  return found;
}

PromptStore::Node* PromptStore::Add(Node* parent, std::span<const Token> tokens,
                                    std::span<const int32_t> slots, ChunkKind kind) {
  if (Node* found = FindKind(At(parent), tokens, kind)) return found;
  QS_CHECK(slots.size() == kChunkSlots);
  auto node = std::make_unique<Node>();
  node->parent = &At(parent);
  QS_CHECK(kind == ChunkKind::kGenerated || node->parent->kind == ChunkKind::kPrompt);
  node->key = ChildKey(node->parent->key, tokens, kind);
  node->kind = kind;
  std::ranges::copy(tokens, node->tokens.begin());
  std::ranges::copy(slots, node->slots.begin());
  node->last_used = ++clock_;
  auto& siblings = node->parent->children;
  siblings.push_back(std::move(node));
  for (const int32_t slot : slots) pool_.Share(slot);
  ++chunks_;
  return siblings.back().get();
}

int PromptStore::CountHeld(std::string_view salt, std::span<const Token> prompt,
                           PromptReuse reuse) {
  int held = 0;
  Node* node = Root(salt);
  for (; prompt.size() > kChunkTokens; prompt = prompt.subspan(kChunkTokens)) {
    node = Find(node, prompt.first(kChunkTokens), reuse);
    if (node == nullptr || pool_.holders(node->slots.back()) == 0) break;
    held += kChunkSlots;
  }
  return held;
}

PromptStore::Node* PromptStore::Restore(Node* parent, std::span<const Token> tokens,
                                        const PoolAccess& access, PromptReuse reuse) {
  if (disk_ == nullptr) return nullptr;
  Node& before = At(parent);
  Node* node = nullptr;
  if (before.kind == ChunkKind::kPrompt) {
    node = RestoreKind(before, tokens, access, ChunkKind::kPrompt);
  }
  if (node == nullptr && reuse == PromptReuse::kAll) {
    node = RestoreKind(before, tokens, access, ChunkKind::kGenerated);
  }
  return node;
}

PromptStore::Node* PromptStore::RestoreKind(Node& parent, std::span<const Token> tokens,
                                            const PoolAccess& access, ChunkKind kind) {
  const ChunkKey key = ChildKey(parent.key, tokens, kind);
  const std::span<const std::byte> file = disk_->Load(parent.key, key, tokens);
  if (file.empty()) return nullptr;
  std::array<int32_t, kChunkSlots> slots;
  int32_t last = parent.parent == nullptr ? -1 : parent.slots.back();
  for (int32_t& slot : slots) last = slot = TakeSlot(access, last);
  UploadSlots(*backend_, pool_, slots, disk_->layout(), file);
  Node* node = Add(&parent, tokens, slots, kind);
  for (const int32_t slot : slots) pool_.Release(slot);
  return node;
}

void PromptStore::Use(const Node& node) {
  if (disk_ == nullptr) return;
  disk_->Offer(node.parent->key, node.key, node.tokens, [&](std::span<std::byte> file) {
    DownloadSlots(*backend_, pool_, node.slots, disk_->layout(), file);
  });
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
  Node* node = nullptr;
  for (const auto& [salt, root] : roots_) {
    Node* found = Oldest(*root);
    if (found != nullptr && (node == nullptr || found->last_used < node->last_used)) node = found;
  }
  if (node == nullptr) return false;
  for (const int32_t slot : node->slots) pool_.Release(slot);
  ReleaseRows(*node);
  std::erase_if(node->parent->children, [&](const auto& child) { return child.get() == node; });
  --chunks_;
  return true;
}

std::span<const DenseSegment> PromptStore::TakeRows(Node* node) {
  if (node->rows == kNoRows) return {};
  node->gave_rows = true;
  return rows_->Block(node->rows);
}

std::span<const DenseSegment> PromptStore::AddRows(Node* node) {
  if (holders_.empty() || node->rows != kNoRows) return {};
  int block = rows_->Take();
  if (block < 0) {
    Node* oldest = *std::ranges::min_element(holders_, {}, [](const Node* holder) {
      return std::pair(holder->gave_rows, holder->last_used);
    });
    ReleaseRows(*oldest);
    block = rows_->Take();
  }
  node->rows = block;
  node->gave_rows = false;
  holders_[static_cast<size_t>(block)] = node;
  return rows_->Block(block);
}

void PromptStore::ReleaseRows(Node& node) {
  if (node.rows == kNoRows) return;
  holders_[static_cast<size_t>(node.rows)] = nullptr;
  rows_->Release(node.rows);
  node.rows = kNoRows;
}

}  // namespace quantspec
