// Any bytes are a safetensors file or an Error: parses, and checks that every tensor lies inside
// the file, behind the one before.
#include <algorithm>
#include <span>
#include <string_view>

#include "base/check.h"
#include "io/json_reader.h"
#include "io/safetensors.h"
#include "quantspec/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantspec;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    JsonReader reader(text, "fuzz");
    reader.Skip();
    reader.Finish();
  } catch (const Error&) {
  }
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const uint64_t length =
        Safetensors::HeaderBytes(bytes.first(std::min<size_t>(size, 8)), size, "fuzz");
    const Safetensors file = Safetensors::Parse(text.substr(8, length), size, "fuzz");
    uint64_t sum = 0;
    for (const StTensor& tensor : file.tensors()) {
      QS_CHECK(file.Find(tensor.name) == &tensor);
      QS_CHECK(tensor.offset >= 8 + length && tensor.offset <= size);
      QS_CHECK(tensor.bytes <= size - tensor.offset);
      sum += tensor.bytes;
    }
    QS_CHECK(sum == size - 8 - length);
  } catch (const Error&) {
  }
  return 0;
}
