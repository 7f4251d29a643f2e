#include "base/checksum.h"

#include <cstring>

// Compiled into this file, so that programs need no library beside it.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace quantspec {
namespace {

Checksum Canonical(const XXH128_hash_t& hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  Checksum checksum;
  static_assert(sizeof(bytes.digest) == sizeof(checksum));
  std::memcpy(checksum.data(), bytes.digest, sizeof(checksum));
  return checksum;
}

}  // namespace

Checksum ChecksumOf(std::span<const std::byte> bytes) {
  return Canonical(XXH3_128bits(bytes.data(), bytes.size()));
}

struct ChecksumStream::State {
  XXH3_state_t xxh;
};

ChecksumStream::ChecksumStream() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(&state_->xxh);
}

ChecksumStream::~ChecksumStream() = default;

void ChecksumStream::Add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size());
}

Checksum ChecksumStream::value() const { return Canonical(XXH3_128bits_digest(&state_->xxh)); }

}  // namespace quantspec
