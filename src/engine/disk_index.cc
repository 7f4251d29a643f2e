#include "engine/disk_index.h"

#include <algorithm>
#include <utility>

namespace quantspec {

void DiskIndex::Count(const std::optional<ChunkKey>& parent, int step) {
  if (!parent) return;
  const auto at = children_.try_emplace(*parent, 0).first;
  at->second += step;
  if (at->second == 0) children_.erase(at);
}

void DiskIndex::Replace(std::span<const FoundChunk> found) {
  const auto before = std::exchange(entries_, {});
  children_.clear();
  bytes_ = 0;
  for (const FoundChunk& chunk : found) {
    Entry entry{chunk, std::nullopt};
    if (const auto known = before.find(chunk.key); known != before.end()) {
      entry.parent = known->second.parent;
      entry.chunk.used_ns = std::max(chunk.used_ns, known->second.chunk.used_ns);
    }
    if (!entries_.try_emplace(chunk.key, entry).second) continue;
    Count(entry.parent, 1);
    bytes_ += chunk.bytes;
  }
}

void DiskIndex::Add(const FoundChunk& chunk, const ChunkKey& parent) {
  Remove(chunk.key);
  entries_.emplace(chunk.key, Entry{chunk, parent});
  Count(parent, 1);
  bytes_ += chunk.bytes;
}

void DiskIndex::Remove(const ChunkKey& key) {
  const auto at = entries_.find(key);
  if (at == entries_.end()) return;
  Count(at->second.parent, -1);
  bytes_ -= at->second.chunk.bytes;
  entries_.erase(at);
}

bool DiskIndex::Touch(const ChunkKey& key, int64_t now_ns) {
  const auto at = entries_.find(key);
  if (at == entries_.end()) return false;
  at->second.chunk.used_ns = now_ns;
  return true;
}

std::vector<FoundChunk> DiskIndex::Orphans() const {
  std::vector<FoundChunk> orphans;
  for (const auto& [key, entry] : entries_) {
    if (!entry.parent) orphans.push_back(entry.chunk);
  }
  return orphans;
}

void DiskIndex::SetParent(const ChunkKey& key, const ChunkKey& parent) {
  const auto at = entries_.find(key);
  if (at == entries_.end() || at->second.parent) return;
  at->second.parent = parent;
  Count(parent, 1);
}

std::optional<FoundChunk> DiskIndex::OldestLeaf(const ChunkKey& spared) const {
  const FoundChunk* oldest = nullptr;
  for (const auto& [key, entry] : entries_) {
    if (key == spared || children_.contains(key)) continue;
    if (oldest == nullptr || entry.chunk.used_ns < oldest->used_ns) oldest = &entry.chunk;
  }
  if (oldest == nullptr) return std::nullopt;
  return *oldest;
}

}  // namespace quantspec
