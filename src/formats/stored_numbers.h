// Numbers that a file keeps side by side, such as the scales of a quantised matrix.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/input_file.h"
#include "io/safetensors.h"

namespace quantspec {

struct StoredNumbers {
  std::shared_ptr<const InputFile> file;
  uint64_t offset = 0;
  StDtype dtype = StDtype::kF32;  // F32, F16 or BF16 where they are read as numbers
};

// Numbers [first, first + out.size()). Allocates nothing. Throws Error: kIo, and kCorrupt naming
// `tensor` for one that is not finite.
void ReadNumbers(const StoredNumbers& numbers, int64_t first, std::span<float> out,
                 const std::string& tensor);

// Words [first, first + out.size()) of those from `offset` on. Allocates nothing. Throws
// Error{kIo}.
void ReadWords(const InputFile& file, uint64_t offset, int64_t first, std::span<uint32_t> out);

[[noreturn]] void RefuseNotFinite(const InputFile& file, const std::string& tensor);

}  // namespace quantspec
