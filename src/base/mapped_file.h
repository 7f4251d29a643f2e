// A file mapped read-only.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace quantspec {

class MappedFile {
 public:
  MappedFile() = default;
  // Throws Error{kIo} if `path` cannot be opened or is not a regular file. An empty file gives an
  // empty span.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::span<const std::byte> bytes_;
};

}  // namespace quantspec
