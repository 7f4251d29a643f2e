// Any bytes are a GGUF file or an Error: parses, looks at every value, decodes a block of every
// tensor; and their first half gives the same file, an Error, or asks for more.
#include <vector>

#include "io/gguf.h"
#include "quant/ggml_blocks.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

// Asks for a key in every way.
void Access(const Gguf& file, std::string_view key) {
  const auto ask = [](auto access) {
    try {
      access();
    } catch (const Error&) {
    }
  };
  ask([&] { file.Integer(key); });
  ask([&] { file.Number(key); });
  ask([&] { file.Bool(key); });
  ask([&] { file.String(key); });
  ask([&] { file.Array(key); });
}

// Reads the bytes of every text, so that a sanitizer sees one outside the file.
size_t ReadTexts(const GgufValue& value) {
  size_t sum = 0;
  const auto read = [&](std::string_view text) {
    for (const char c : text) sum += static_cast<unsigned char>(c);
  };
  if (const auto* text = std::get_if<std::string_view>(&value)) read(*text);
  if (const auto* array = std::get_if<GgufArray>(&value)) {
    for (const std::string_view text : array->strings) read(text);
  }
  return sum;
}

void DecodeFirstBlock(const GgufTensor& tensor, std::span<const std::byte> file) {
  const GgmlTypeInfo* info = FindGgmlType(tensor.type);
  QS_CHECK(info != nullptr);
  const auto type = static_cast<GgmlType>(tensor.type);
  QS_CHECK(tensor.offset <= file.size() && tensor.bytes <= file.size() - tensor.offset);
  QS_CHECK(tensor.bytes >= static_cast<uint64_t>(info->block_bytes));
  const std::byte* data = file.data() + tensor.offset;
  const auto count = static_cast<size_t>(info->block_values);
  std::vector<float> values(count);
  AllFinite(type, data, info->block_values);
  DecodeGgml(type, data, info->block_values, values.data());
  if (!info->is_affine4) return;
  std::vector<uint8_t> upper(count);
  std::vector<GroupScale> scales(count / 32);
  ImportAffine4(type, data, info->block_values, upper.data(), scales.data());
  for (const uint8_t code : upper) QS_CHECK(code < 16);
}

}  // namespace
}  // namespace quantspec

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantspec;
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto half = Gguf::ParseStart(bytes.first(size / 2), size, "fuzz", GgmlTypeSize);
    const Gguf file = Gguf::Parse(bytes, "fuzz", GgmlTypeSize);
    QS_CHECK(!half || half->tensors().size() == file.tensors().size());
    size_t sum = 0;
    for (const Gguf::Entry& entry : file.entries()) {
      QS_CHECK(file.Find(entry.key) == &entry.value);
      Access(file, entry.key);
      sum += ReadTexts(entry.value);
    }
    for (const GgufTensor& tensor : file.tensors()) {
      QS_CHECK(file.FindTensor(tensor.name) == &tensor);
      DecodeFirstBlock(tensor, bytes);
    }
    QS_CHECK(sum <= 255 * size);
  } catch (const Error&) {
  }
  return 0;
}
