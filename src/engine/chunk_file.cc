#include "engine/chunk_file.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/checksum.h"

namespace quantspec {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

constexpr char kMagic[8] = {'Q', 'S', 'C', 'H', 'U', 'N', 'K', '\n'};
constexpr uint32_t kVersion = 1;
constexpr size_t kAlign = 64;
constexpr size_t kChecksumAt = kChunkHeaderBytes - sizeof(Checksum);
constexpr size_t kParentAt = sizeof(kMagic) + 2 * sizeof(uint32_t) + sizeof(Sha256Hash);

// Writes values one behind the other.
class HeaderWriter {
 public:
  explicit HeaderWriter(std::span<std::byte> out) : out_(out) {}
  void Put(const void* data, size_t bytes) {
    QS_CHECK(bytes <= out_.size());
    std::memcpy(out_.data(), data, bytes);
    out_ = out_.subspan(bytes);
  }
  template <typename T>
  void PutNumber(T number) {
    Put(&number, sizeof(number));
  }

 private:
  std::span<std::byte> out_;
};

}  // namespace

ChunkKey RootKey(const Sha256Hash& fingerprint, std::string_view salt) {
  Sha256 hash;
  hash.Add("quantspec prompt\n");
  hash.Add(std::as_bytes(std::span(fingerprint)));
  hash.Add(salt);
  return hash.Finish();
}

ChunkKey ChildKey(const ChunkKey& parent, std::span<const Token> tokens, ChunkKind kind) {
  Sha256 hash;
  hash.Add(std::as_bytes(std::span(parent)));
  hash.Add(std::as_bytes(tokens));
  if (kind == ChunkKind::kGenerated) hash.Add("generated\n");
  return hash.Finish();
}

ChunkLayout::ChunkLayout(std::span<const SectionSpec> sections) {
  QS_CHECK(sections.size() <= kMostSections);
  for (const SectionSpec& section : sections) {
    const size_t stored = (section.bytes + kAlign - 1) / kAlign * kAlign;
    places_.push_back({section, file_bytes_, stored});
    file_bytes_ += stored;
  }
}

std::span<std::byte> ChunkLayout::Section(std::span<std::byte> file, size_t index) const {
  QS_CHECK(file.size() == file_bytes_ && index < places_.size());
  return file.subspan(places_[index].offset, places_[index].spec.bytes);
}

std::span<const std::byte> ChunkLayout::Section(std::span<const std::byte> file,
                                                size_t index) const {
  QS_CHECK(file.size() == file_bytes_ && index < places_.size());
  return file.subspan(places_[index].offset, places_[index].spec.bytes);
}

ChunkLayout::Header ChunkLayout::HeaderOf(const ChunkIdentity& identity,
                                          std::span<const std::byte> file) const {
  QS_CHECK(file.size() == file_bytes_ && identity.tokens.size() == kChunkFileTokens);
  Header header{};
  HeaderWriter writer(header);
  writer.Put(kMagic, sizeof(kMagic));
  writer.PutNumber(kVersion);
  writer.PutNumber(static_cast<uint32_t>(kChunkHeaderBytes));
  writer.Put(identity.fingerprint.data(), identity.fingerprint.size());
  writer.Put(identity.parent.data(), identity.parent.size());
  writer.Put(identity.key.data(), identity.key.size());
  writer.PutNumber(static_cast<uint32_t>(identity.tokens.size()));
  writer.PutNumber(static_cast<uint32_t>(places_.size()));
  writer.Put(identity.tokens.data(), identity.tokens.size_bytes());
  for (const Place& place : places_) {
    writer.PutNumber(static_cast<uint32_t>(place.spec.kind));
    writer.PutNumber(uint32_t{0});
    writer.PutNumber(static_cast<uint64_t>(place.offset));
    writer.PutNumber(static_cast<uint64_t>(place.spec.bytes));
    const Checksum checksum = ChecksumOf(file.subspan(place.offset, place.stored_bytes));
    writer.Put(checksum.data(), checksum.size());
  }
  const Checksum checksum = ChecksumOf(std::span<const std::byte>(header).first(kChecksumAt));
  std::memcpy(header.data() + kChecksumAt, checksum.data(), checksum.size());
  return header;
}

void ChunkLayout::Seal(const ChunkIdentity& identity, std::span<std::byte> file) const {
  for (const Place& place : places_) {
    const auto padding = file.subspan(place.offset, place.stored_bytes).subspan(place.spec.bytes);
    std::ranges::fill(padding, std::byte{0});
  }
  const Header header = HeaderOf(identity, file);
  std::ranges::copy(header, file.begin());
}

bool ChunkLayout::IsIntact(const ChunkIdentity& identity, std::span<const std::byte> file) const {
  if (file.size() != file_bytes_) return false;
  const Header header = HeaderOf(identity, file);
  return std::ranges::equal(header, file.first(kChunkHeaderBytes));
}

std::optional<ChunkKey> ParentInHeader(std::span<const std::byte> header) {
  if (header.size() < kChunkHeaderBytes) return std::nullopt;
  if (std::memcmp(header.data(), kMagic, sizeof(kMagic)) != 0) return std::nullopt;
  const Checksum checksum = ChecksumOf(header.first(kChecksumAt));
  if (std::memcmp(header.data() + kChecksumAt, checksum.data(), checksum.size()) != 0) {
    return std::nullopt;
  }
  ChunkKey parent;
  std::memcpy(parent.data(), header.data() + kParentAt, parent.size());
  return parent;
}

}  // namespace quantspec
