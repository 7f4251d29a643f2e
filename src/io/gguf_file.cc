#include "io/gguf_file.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr uint64_t kFirstBytes = uint64_t{4} << 20;  // holds most headers
// The largest vocabularies take a few tens of megabytes.
constexpr uint64_t kMostBytes = uint64_t{1} << 30;

}  // namespace

GgufFile OpenGguf(const std::string& path, Gguf::TypeSize type_size) {
  auto file = std::make_shared<const InputFile>(path);
  auto header = std::make_shared<std::vector<std::byte>>();
  for (uint64_t bytes = kFirstBytes; bytes <= kMostBytes; bytes *= 2) {
    const size_t known = header->size();
    header->resize(static_cast<size_t>(std::min(bytes, file->size())));
    file->Read(known, std::span(*header).subspan(known));
    std::optional<Gguf> gguf = Gguf::ParseStart(*header, file->size(), path, type_size);
    if (gguf) return {std::move(file), std::move(header), std::move(*gguf)};
  }
  throw Error(ErrorKind::kCorrupt, path + ": found metadata and tensor names of more than " +
                                       std::to_string(kMostBytes) +
                                       " bytes, expected less; the file is damaged");
}

}  // namespace quantspec
