// The files of a prompt store: DIR/<fingerprint>/<ab>/<key>.qsg, where ab are the first two digits
// of the key. No path comes from outside but DIR; no link below DIR is followed.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/chunk_file.h"

namespace quantspec {

// The calls of the system that may fail for reasons of the disk; tests replace them.
struct DiskCalls {
  ssize_t (*read)(int file, void* bytes, size_t count, off_t offset) = nullptr;  // null: pread
  ssize_t (*write)(int file, const void* bytes, size_t count) = nullptr;         // null: write
};

// A file descriptor that is closed at the end.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  bool is_open() const { return value_ >= 0; }
  int get() const { return value_; }

 private:
  int value_ = -1;
};

// A file that a scan found.
struct FoundChunk {
  ChunkKey key{};
  std::string fingerprint;  // its folder's name
  uint64_t bytes = 0;
  int64_t used_ns = 0;  // since 1970
};

// Functions answer 0 or the errno of what failed. Any thread may call them.
class DiskFolder {
 public:
  // Makes DIR unless it is there, and its lock file. What cannot be made is a later call's error.
  // Throws Error{kIo} if `path` is no folder and cannot become one.
  DiskFolder(const std::string& path, const Sha256Hash& fingerprint, const DiskCalls& calls);

  // Why files cannot be written; 0 as far as known.
  int error() const { return error_; }
  // A file of exactly `out` bytes. ENOENT: none is there; EBADMSG: it has another size or is no
  // plain file.
  int Read(const ChunkKey& key, std::span<std::byte> out) const;
  // Under another name first, then renamed: a file is whole or not there, unless the system dies.
  int Write(const ChunkKey& key, std::span<const std::byte> file);
  int Remove(const std::string& fingerprint, const ChunkKey& key);
  int Remove(const ChunkKey& key) { return Remove(own_, key); }
  // Says on disk that the file was used now.
  void Touch(const ChunkKey& key) const;
  // All files, of every fingerprint.
  std::vector<FoundChunk> Scan() const;
  std::optional<ChunkKey> ReadParent(const FoundChunk& found) const;
  // Removes what writers that died have left, if no other process uses the folder.
  void RemoveTemporaries();

 private:
  // The folder of a key's file, and that file; not open, with errno, if that fails.
  Descriptor OpenFolder(const std::string& fingerprint, const ChunkKey& key, bool make_it) const;
  Descriptor OpenFile(const std::string& fingerprint, const ChunkKey& key) const;
  // Calls `visit(folder, fingerprint, letters, name)` for every file.
  template <typename Visit>
  void ForEachFile(const Visit& visit) const;

  std::string own_;  // the fingerprint's digits
  DiskCalls calls_;
  Descriptor root_;
  Descriptor lock_;
  int error_ = 0;
};

// The time on the clock that files are stamped with.
int64_t DiskNow();

}  // namespace quantspec
