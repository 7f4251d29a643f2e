// GGUF v2 and v3: a pure parser over bytes. Every offset and size is checked against the bytes
// before use, so a file can be refused but never crash the process. Source: docs/references.md
// [gguf].
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace quantspec {

class ByteCursor;

// A metadata array. Strings and numbers are kept as views or copies of the file's bytes.
struct GgufArray {
  // One of these is filled, by the element type: integers and bools widen to int64.
  std::vector<std::string_view> strings;
  std::vector<int64_t> integers;
  std::vector<double> numbers;
  size_t size() const { return strings.size() + integers.size() + numbers.size(); }
};

using GgufValue = std::variant<int64_t, uint64_t, double, bool, std::string_view, GgufArray>;

struct GgufTensor {
  std::string_view name;
  uint32_t type = 0;           // quant/ggml_blocks.h knows the numbers
  std::vector<int64_t> shape;  // slowest first (the file stores them fastest first)
  uint64_t offset = 0;         // of its data, from the start of the file
  uint64_t bytes = 0;          // of its data, all inside the file
};

class Gguf {
 public:
  // Parses `bytes`, which must outlive the result. `name` is used in messages.
  // Type sizes: block_values and block_bytes come from the caller, so that io needs no formats;
  // a type it does not know (returns false) throws Error{kUnsupported}.
  using TypeSize = bool (*)(uint32_t type, int64_t* block_values, int64_t* block_bytes);
  static Gguf Parse(std::span<const std::byte> bytes, const std::string& name, TypeSize type_size);
  // The same from the first bytes of a file of `file_bytes`; nothing if it takes more of them to
  // come to the tensors' data.
  static std::optional<Gguf> ParseStart(std::span<const std::byte> start, uint64_t file_bytes,
                                        const std::string& name, TypeSize type_size);

  uint32_t version() const { return version_; }
  struct Entry {
    std::string_view key;
    GgufValue value;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  const GgufValue* Find(std::string_view key) const;          // null if absent
  const GgufTensor* FindTensor(std::string_view name) const;  // null if absent

  // Typed access. Absent keys give nullopt / null; a key of the wrong type or out of int64's
  // range throws Error{kCorrupt} naming the key, what was found and what was expected.
  std::optional<int64_t> Integer(std::string_view key) const;
  std::optional<double> Number(std::string_view key) const;  // floats and integers
  std::optional<bool> Bool(std::string_view key) const;
  std::optional<std::string_view> String(std::string_view key) const;
  const GgufArray* Array(std::string_view key) const;

  // For messages: the file's name.
  const std::string& name() const { return name_; }

 private:
  static Gguf ParseWith(ByteCursor& in, const std::string& name, TypeSize type_size);

  std::string name_;
  uint32_t version_ = 0;
  std::vector<Entry> entries_;       // sorted by key
  std::vector<GgufTensor> tensors_;  // in file order
  std::vector<uint32_t> tensors_by_name_;
};

}  // namespace quantspec
