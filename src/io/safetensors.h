// Safetensors: a pure parser over the header of a file. Every offset and size is checked before
// use, so a file can be refused but never crash the process. Source: docs/references.md
// [safetensors].
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quantspec {

class JsonReader;

enum class StDtype : uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};

// As the file writes it: "BF16".
std::string_view NameOf(StDtype dtype);
int BitsOf(StDtype dtype);

struct StTensor {
  std::string_view name;
  uint64_t offset = 0;  // of its data, from the start of the file
  uint64_t bytes = 0;   // of its data, all inside the file
  uint32_t first_size = 0, sizes = 0;
  StDtype dtype = StDtype::kU8;
};

class Safetensors {
 public:
  static constexpr uint64_t kLengthBytes = 8;  // of the number in front of the header
  static constexpr uint64_t kMostHeaderBytes = 100'000'000;

  // The length of the header from the first bytes of a file. Throws Error{kCorrupt} if they are too
  // few, or the header does not fit into `file_bytes` or is above kMostHeaderBytes.
  static uint64_t HeaderBytes(std::span<const std::byte> start, uint64_t file_bytes,
                              const std::string& name);
  // Parses a header of that length, which must outlive the result. Takes what the reference library
  // takes, but for tensors of one name. `name` is used in messages.
  static Safetensors Parse(std::string_view header, uint64_t file_bytes, const std::string& name);

  const std::deque<StTensor>& tensors() const { return tensors_; }  // in the header's order
  std::span<const uint64_t> ShapeOf(const StTensor& tensor) const {
    return std::span(sizes_).subspan(tensor.first_size, tensor.sizes);
  }
  const StTensor* Find(std::string_view name) const;  // null if absent
  // The file's own words about itself, in their order.
  const std::vector<std::pair<std::string_view, std::string_view>>& metadata() const {
    return metadata_;
  }
  const std::string& name() const { return name_; }

 private:
  void ReadMetadata(JsonReader& in);
  void ReadTensor(JsonReader& in, std::string_view name);
  void CheckSize(const StTensor& tensor) const;
  void CheckOffsets(uint64_t first, uint64_t file_bytes);
  void FillTable();
  size_t Slot(std::string_view name) const;
  [[noreturn]] void Fail(const StTensor& tensor, const std::string& found,
                         const std::string& expected) const;

  std::string name_;
  std::deque<StTensor> tensors_;
  std::vector<uint64_t> sizes_;  // of all shapes
  std::vector<std::pair<std::string_view, std::string_view>> metadata_;
  std::vector<uint32_t> table_;  // indices plus 1, open addressing; 0 = free; a power of two
  std::shared_ptr<const void> strings_;
};

}  // namespace quantspec
