// The weight files of a Hugging Face folder: one, or the shards that an index names.
#pragma once

#include <string>
#include <vector>

#include "io/safetensors_file.h"

namespace quantspec {

// Opens model.safetensors of `folder`, or all files that model.safetensors.index.json names, in the
// order of their names; reads their headers alone. Links are followed: the hub's cache is made of
// them. Throws Error: kIo naming what is missing, kCorrupt for an index and shards that do not
// belong together, kUnsupported for a folder whose weights are in another format.
std::vector<SafetensorsFile> OpenHfFiles(const std::string& folder);

}  // namespace quantspec
