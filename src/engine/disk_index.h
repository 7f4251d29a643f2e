// Which files a prompt store has, and which goes first when there are too many: the least recently
// used one that no other chunk stands on.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/disk_folder.h"

namespace quantspec {

class DiskIndex {
 public:
  // Takes what a scan found in the place of what was known; parents stay known.
  void Replace(std::span<const FoundChunk> found);
  void Add(const FoundChunk& chunk, const ChunkKey& parent);
  void Remove(const ChunkKey& key);
  // False if there is no such file.
  bool Touch(const ChunkKey& key, int64_t now_ns);
  bool Contains(const ChunkKey& key) const { return entries_.contains(key); }

  // Files whose parents are not known; SetParent makes them so.
  std::vector<FoundChunk> Orphans() const;
  void SetParent(const ChunkKey& key, const ChunkKey& parent);
  // The least recently used file without children, `spared` aside.
  std::optional<FoundChunk> OldestLeaf(const ChunkKey& spared) const;

  uint64_t bytes() const { return bytes_; }
  int64_t files() const { return static_cast<int64_t>(entries_.size()); }

 private:
  // Keys are hashes already.
  struct First8 {
    size_t operator()(const ChunkKey& key) const {
      uint64_t word;
      std::memcpy(&word, key.data(), sizeof(word));
      return static_cast<size_t>(word);
    }
  };
  struct Entry {
    FoundChunk chunk;
    std::optional<ChunkKey> parent;
  };
  void Count(const std::optional<ChunkKey>& parent, int step);

  std::unordered_map<ChunkKey, Entry, First8> entries_;
  std::unordered_map<ChunkKey, int, First8> children_;  // of chunks that have some
  uint64_t bytes_ = 0;
};

}  // namespace quantspec
