#include "formats/stored_numbers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/float16.h"
#include "quantspec/error.h"

namespace quantspec {

void ReadNumbers(const StoredNumbers& numbers, int64_t first, std::span<float> out,
                 const std::string& tensor) {
  constexpr size_t kMost = 512;  // at a time
  const size_t bytes = numbers.dtype == StDtype::kF32 ? 4 : 2;
  std::array<std::byte, kMost * 4> memory;
  for (size_t begin = 0; begin < out.size(); begin += kMost) {
    const size_t count = std::min(kMost, out.size() - begin);
    numbers.file->Read(numbers.offset + (static_cast<uint64_t>(first) + begin) * bytes,
                       std::span(memory).first(count * bytes));
    for (size_t i = 0; i < count; ++i) {
      float& value = out[begin + i];
      if (bytes == 4) {
        std::memcpy(&value, memory.data() + 4 * i, 4);
      } else {
        uint16_t half = 0;
        std::memcpy(&half, memory.data() + 2 * i, 2);
        value = numbers.dtype == StDtype::kF16 ? FloatFromF16(half) : FloatFromBf16(half);
      }
      if (!std::isfinite(value)) RefuseNotFinite(*numbers.file, tensor);
    }
  }
}

void ReadWords(const InputFile& file, uint64_t offset, int64_t first, std::span<uint32_t> out) {
  file.Read(offset + static_cast<uint64_t>(first) * sizeof(uint32_t), std::as_writable_bytes(out));
}

void RefuseNotFinite(const InputFile& file, const std::string& tensor) {
  throw Error(ErrorKind::kCorrupt, file.path() + ": tensor " + tensor +
                                       " holds a value or scale that is not finite (NaN or "
                                       "infinity); the file is damaged");
}

}  // namespace quantspec
