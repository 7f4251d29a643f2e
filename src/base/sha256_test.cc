#include "base/sha256.h"

#include <gtest/gtest.h>

#include <string>

#include "base/checksum.h"

namespace quantspec {
namespace {

std::string HashOf(std::string_view text) {
  Sha256 hash;
  hash.Add(text);
  return HexOf(hash.Finish());
}

// The examples of FIPS 180-4 and of NIST's test vectors.
TEST(Sha256, GivesThePublishedHashes) {
  EXPECT_EQ(HashOf(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HashOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HashOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(HashOf(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnThePieces) {
  const std::string text(517, 'x');
  for (size_t piece = 1; piece < 130; ++piece) {
    Sha256 hash;
    for (size_t i = 0; i < text.size(); i += piece) hash.Add(text.substr(i, piece));
    EXPECT_EQ(HexOf(hash.Finish()), HashOf(text)) << piece;
  }
}

std::span<const std::byte> BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

// xxhsum -H128 of xxhash 0.8.
TEST(Checksum, IsXxh3Of128Bits) {
  EXPECT_EQ(HexOf(ChecksumOf({})), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(HexOf(ChecksumOf(BytesOf("abc"))), "06b05ab6733a618578af5f94892f3950");
}

TEST(Checksum, OfPiecesIsThatOfTheWhole) {
  const std::string text(5000, 'q');
  ChecksumStream stream;
  for (size_t i = 0; i < text.size(); i += 77)
    stream.Add(BytesOf(text).subspan(i).first(std::min<size_t>(77, text.size() - i)));
  EXPECT_EQ(stream.value(), ChecksumOf(BytesOf(text)));
}

}  // namespace
}  // namespace quantspec
