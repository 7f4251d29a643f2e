// Files that are small enough to be read at once.
#pragma once

#include <cstdint>
#include <string>

namespace quantspec {

// Throws Error: kIo, and kCorrupt for a file of more than `most` bytes.
std::string ReadWholeFile(const std::string& path, uint64_t most);

}  // namespace quantspec
