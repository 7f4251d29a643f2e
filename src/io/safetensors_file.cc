#include "io/safetensors_file.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace quantspec {

SafetensorsFile OpenSafetensors(const std::string& path) {
  auto file = std::make_shared<const InputFile>(path);
  std::array<std::byte, Safetensors::kLengthBytes> start;
  const std::span<std::byte> known =
      std::span(start).first(static_cast<size_t>(std::min<uint64_t>(start.size(), file->size())));
  file->Read(0, known);
  const uint64_t bytes = Safetensors::HeaderBytes(known, file->size(), path);
  auto header = std::make_shared<std::string>(static_cast<size_t>(bytes), '\0');
  file->Read(start.size(), std::as_writable_bytes(std::span(*header)));
  Safetensors tensors = Safetensors::Parse(*header, file->size(), path);
  return {std::move(file), std::move(header), std::move(tensors)};
}

}  // namespace quantspec
