// A safetensors file on disk: its header in memory, its tensors' data left where it is.
#pragma once

#include <memory>
#include <string>

#include "base/input_file.h"
#include "io/safetensors.h"

namespace quantspec {

struct SafetensorsFile {
  std::shared_ptr<const InputFile> file;
  std::shared_ptr<const std::string> header;  // what `tensors` views
  Safetensors tensors;
};

// Reads the header. Throws Error: kIo, and as Safetensors::Parse.
SafetensorsFile OpenSafetensors(const std::string& path);

}  // namespace quantspec
