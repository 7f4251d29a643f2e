// A file that is read piece by piece.
//
// It is not mapped: reading a mapped file that somebody else truncates kills the process (SIGBUS),
// while a read that comes back short is an error; and what was read of a mapped file counts as
// memory of the process, while the pages behind a read belong to the system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace quantspec {

class InputFile {
 public:
  // Throws Error{kIo} if `path` cannot be opened or is not a regular file.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened

  // Fills `out` with the bytes from `offset` on. Threads may read at once; allocates nothing.
  // Throws Error{kIo} if the file ends before, or cannot be read.
  void Read(uint64_t offset, std::span<std::byte> out) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace quantspec
