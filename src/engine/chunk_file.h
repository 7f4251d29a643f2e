// A stored chunk as a file (docs/formats/qsg.md): a header that says whose keys and values
// these are, then sections of bytes, all under checksums. Reading never trusts what it reads: the
// header that the file must have is made anew and compared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/sha256.h"
#include "quantspec/types.h"

namespace quantspec {

// Names a chunk by its tokens and all before them, the salt, and what computed it.
using ChunkKey = Sha256Hash;

// What stands before the first chunk. Prompts with different salts share nothing.
ChunkKey RootKey(const Sha256Hash& fingerprint, std::string_view salt);

// Whether a chunk and all before it hold rows of prompts alone, or it holds or follows generated
// ones. The same tokens have a key of each kind.
enum class ChunkKind : uint8_t { kPrompt, kGenerated };
// `parent` is the key of a prompt's chunk, or a root's, if `kind` is kPrompt.
ChunkKey ChildKey(const ChunkKey& parent, std::span<const Token> tokens,
                  ChunkKind kind = ChunkKind::kPrompt);

struct ChunkIdentity {
  Sha256Hash fingerprint{};  // of all that the bytes depend on besides the tokens
  ChunkKey parent{};
  ChunkKey key{};
  std::span<const Token> tokens;  // [kChunkFileTokens]
};

// What the bytes of a section are.
enum class SectionKind : uint32_t {
  kUpper = 1,  // planes of sealed groups: [layer][kv_head][slot of the chunk][bytes]
  kLower = 2,
  kScales = 3,
};

struct SectionSpec {
  SectionKind kind = SectionKind::kUpper;
  size_t bytes = 0;
};

inline constexpr size_t kChunkFileTokens = 256;
inline constexpr size_t kChunkHeaderBytes = 2048;
inline constexpr size_t kMostSections = 16;

// Where sections stand in the files of an engine, which all have the same size.
class ChunkLayout {
 public:
  ChunkLayout() = default;
  // At most kMostSections, of different kinds.
  explicit ChunkLayout(std::span<const SectionSpec> sections);

  size_t file_bytes() const { return file_bytes_; }
  // The bytes of section `index` of a file [file_bytes].
  std::span<std::byte> Section(std::span<std::byte> file, size_t index) const;
  std::span<const std::byte> Section(std::span<const std::byte> file, size_t index) const;

  // Writes the header over the sections that `file` [file_bytes] holds.
  void Seal(const ChunkIdentity& identity, std::span<std::byte> file) const;
  // True if `file` [file_bytes] is what Seal wrote for this very chunk.
  bool IsIntact(const ChunkIdentity& identity, std::span<const std::byte> file) const;

 private:
  struct Place {
    SectionSpec spec;
    size_t offset = 0;
    size_t stored_bytes = 0;  // rounded up to 64, as the checksum counts them
  };
  using Header = std::array<std::byte, kChunkHeaderBytes>;
  Header HeaderOf(const ChunkIdentity& identity, std::span<const std::byte> file) const;

  std::vector<Place> places_;
  size_t file_bytes_ = kChunkHeaderBytes;
};

// The parent that an intact header names; none for anything else.
std::optional<ChunkKey> ParentInHeader(std::span<const std::byte> header);

}  // namespace quantspec
