// Hashes that tell inputs apart: FNV-1a, 64 bits [fnv]. Equal on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quantspec::eval {

inline constexpr uint64_t kHashStart = 0xcbf29ce484222325u;

// Goes on from `hash`.
uint64_t HashBytes(std::string_view bytes, uint64_t hash = kHashStart);
// 16 hex digits.
std::string HexHash(uint64_t hash);

// Of a file: its length and its bytes, of more than 16 MiB 256 samples of 64 KiB that are spread
// over all of it. Throws Error{kIo}.
uint64_t HashFile(const std::string& path, uint64_t hash = kHashStart);

// All parts of a model that was split (NAME-00001-of-00003.gguf), in order, whichever part `path`
// is; of any other file, the file.
std::vector<std::string> PartsOfModel(const std::string& path);

}  // namespace quantspec::eval
