#include "eval/byte_reader.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "quantspec/error.h"

namespace quantspec::eval {

ByteReader::ByteReader(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
  if (file_ == nullptr) {
    throw Error(ErrorKind::kIo, path + ": cannot be opened: " + std::strerror(errno));
  }
}

ByteReader::~ByteReader() { gzclose(static_cast<gzFile>(file_)); }

bool ByteReader::Fill() {
  const auto file = static_cast<gzFile>(file_);
  const int read = gzread(file, buffer_.data(), static_cast<unsigned>(buffer_.size()));
  const int saved = errno;
  int code = Z_OK;
  const char* message = gzerror(file, &code);
  if (code == Z_ERRNO) {
    throw Error(ErrorKind::kIo, path_ + ": cannot be read: " + std::strerror(saved));
  }
  if (read < 0 || code == Z_BUF_ERROR) {
    throw Error(ErrorKind::kCorrupt, path_ + ": its compressed data is broken or ends early (" +
                                         message + "); fetch the file again");
  }
  at_ = 0;
  size_ = static_cast<size_t>(read);
  return size_ > 0;
}

bool ByteReader::NextLine(std::string& line) {
  line.clear();
  if (AtEnd()) return false;
  ++line_;
  while (!AtEnd()) {
    const char* begin = buffer_.data() + at_;
    const char* end = buffer_.data() + size_;
    const char* newline = std::find(begin, end, '\n');
    const bool is_whole = newline != end;
    line.append(begin, newline + (is_whole ? 1 : 0));
    at_ = static_cast<size_t>(newline - buffer_.data()) + (is_whole ? 1 : 0);
    if (is_whole) break;
    if (line.size() > kMaxRecordBytes) {
      throw Error(ErrorKind::kCorrupt,
                  path_ + ":" + std::to_string(line_) + ": a line of more than " +
                      std::to_string(kMaxRecordBytes >> 20) + " MiB; expected one record a line");
    }
  }
  return true;
}

std::string ByteReader::ReadUpTo(size_t most) {
  std::string bytes;
  while (bytes.size() < most && !AtEnd()) {
    const size_t count = std::min(size_ - at_, most - bytes.size());
    bytes.append(buffer_.data() + at_, count);
    at_ += count;
  }
  return bytes;
}

}  // namespace quantspec::eval
