// The metadata of a GGUF file that describe its model, under the architecture's name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf.h"
#include "quantspec/error.h"

namespace quantspec {

// Keys are without the architecture in front. `file` must outlive the reader. Throws
// Error{kCorrupt} for values that are missing, absurd or of another type.
class GgufMetadata {
 public:
  explicit GgufMetadata(const Gguf& file, std::string_view architecture)
      : file_(file), prefix_(std::string(architecture) + ".") {}

  std::string Key(std::string_view key) const { return prefix_ + std::string(key); }
  bool Has(std::string_view key) const { return file_.Find(Key(key)) != nullptr; }

  // 1 to `most`; of a list for each layer, its one value.
  int64_t Needed(std::string_view key, int64_t most) const;
  int64_t Optional(std::string_view key, int64_t otherwise, int64_t most) const;
  double Number(std::string_view key, double otherwise) const;  // finite
  double Positive(std::string_view key, double otherwise) const;
  // A factor or cap, of a size that floats and sums of them bear; 0 if `otherwise` is.
  float Scale(std::string_view key, double otherwise) const;
  bool Bool(std::string_view key, bool otherwise) const;
  // Whether layers are marked, of `layers`; nothing if there is no list.
  std::optional<std::vector<bool>> Marks(std::string_view key, int layers) const;

  Error Bad(std::string_view key, const std::string& found, const std::string& expected) const;
  // Throws Error{kUnsupported} if the key is there and not 0.
  void Refuse(std::string_view key, const std::string& what) const;

 private:
  std::optional<int64_t> Whole(std::string_view key) const;
  int64_t InRange(std::string_view key, int64_t value, int64_t most) const;

  const Gguf& file_;
  std::string prefix_;
};

}  // namespace quantspec
