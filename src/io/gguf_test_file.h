// Writes GGUF files into memory, right and wrong ones, for tests.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quantspec {

class GgufTestFile {
 public:
  explicit GgufTestFile(uint32_t version = 3) : version_(version) {}

  // One metadata entry; `value` is its bytes after the type.
  GgufTestFile& Entry(std::string_view key, uint32_t type, const std::string& value) {
    entries_ += Text(key) + Bytes(type) + value;
    ++entry_count_;
    return *this;
  }
  GgufTestFile& Array(std::string_view key, uint32_t type, uint64_t count,
                      const std::string& elements) {
    return Entry(key, 9, Bytes(type) + Bytes(count) + elements);
  }
  GgufTestFile& Alignment(uint32_t alignment) {
    alignment_ = alignment;
    return Entry("general.alignment", 4, Bytes(alignment));
  }
  // A tensor with the next free offset; extents fastest first, as files have them.
  GgufTestFile& Tensor(std::string_view name, const std::vector<uint64_t>& extents, uint32_t type,
                       const std::string& data) {
    TensorAt(name, extents, type, data_.size());
    data_ += data;
    data_.resize((data_.size() + alignment_ - 1) / alignment_ * alignment_);
    return *this;
  }
  // A tensor that claims to be somewhere.
  GgufTestFile& TensorAt(std::string_view name, const std::vector<uint64_t>& extents, uint32_t type,
                         uint64_t offset) {
    tensors_ += Text(name) + Bytes(static_cast<uint32_t>(extents.size()));
    for (const uint64_t extent : extents) tensors_ += Bytes(extent);
    tensors_ += Bytes(type) + Bytes(offset);
    ++tensor_count_;
    return *this;
  }

  std::string Finish() const {
    std::string file = HeaderAndTables();
    file.resize((file.size() + alignment_ - 1) / alignment_ * alignment_);
    return file + data_;
  }
  // All before the data and its padding.
  std::string HeaderAndTables() const {
    return "GGUF" + Bytes(version_) + Bytes(tensor_count_) + Bytes(entry_count_) + entries_ +
           tensors_;
  }

  template <typename T>
  static std::string Bytes(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
  static std::string Text(std::string_view text) {
    return Bytes(uint64_t{text.size()}).append(text);
  }

 private:
  uint32_t version_;
  size_t alignment_ = 32;
  uint64_t entry_count_ = 0, tensor_count_ = 0;
  std::string entries_, tensors_, data_;
};

// A copy of `bytes` in an allocation of exactly their size, so that a sanitizer sees an overread.
class ExactBytes {
 public:
  explicit ExactBytes(std::string_view bytes)
      : data_(std::make_unique<std::byte[]>(bytes.size())), size_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(data_.get(), bytes.data(), bytes.size());
  }
  std::span<const std::byte> span() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<std::byte[]> data_;
  size_t size_;
};

}  // namespace quantspec
