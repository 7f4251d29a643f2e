// A GGUF file on disk: its header in memory, its tensors' data left where it is.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "io/gguf.h"

namespace quantspec {

struct GgufFile {
  std::shared_ptr<const InputFile> file;
  std::shared_ptr<const std::vector<std::byte>> header;  // the bytes that `gguf` views
  Gguf gguf;
};

// Reads no more than the header, in steps that double. Throws Error: kIo, and as Gguf::Parse.
GgufFile OpenGguf(const std::string& path, Gguf::TypeSize type_size);

}  // namespace quantspec
