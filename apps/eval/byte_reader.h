// Bytes and lines of a file, plain or compressed by gzip, without holding it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace quantspec::eval {

// The longest line or JSON value that is read: more than any text of the data sets.
inline constexpr size_t kMaxRecordBytes = size_t{256} << 20;

// Throws Error: kIo, and kCorrupt for broken compressed data.
class ByteReader {
 public:
  explicit ByteReader(const std::string& path);
  ~ByteReader();
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  const std::string& path() const { return path_; }
  bool AtEnd() { return at_ == size_ && !Fill(); }
  // The next byte; there is one.
  char Peek() const { return buffer_[at_]; }
  void Skip() { ++at_; }
  // The next line with its "\n", if it has one; false at the end. Throws Error{kCorrupt} for more
  // than kMaxRecordBytes.
  bool NextLine(std::string& line);
  // The number of the last line, from 1.
  int64_t line() const { return line_; }
  // The rest, up to `most` bytes.
  std::string ReadUpTo(size_t most);

 private:
  bool Fill();

  std::string path_;
  void* file_;  // zlib's
  std::array<char, 1 << 16> buffer_;
  size_t at_ = 0, size_ = 0;
  int64_t line_ = 0;
};

}  // namespace quantspec::eval
