// The files of one GGUF model: one, or all that it was split into.
#pragma once

#include <string>
#include <vector>

#include "io/gguf_file.h"

namespace quantspec {

// Opens `path` and, if it is a part of a split model (metadata split.count, names
// NAME-00001-of-00003.gguf), all its parts from the same folder, in order; the first one has the
// model's metadata. Throws Error: kIo naming a part that is missing, kCorrupt for parts that do
// not belong together.
std::vector<GgufFile> OpenGgufFiles(const std::string& path);

}  // namespace quantspec
