#include "engine/chunk_file.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace quantspec {
namespace {

class ChunkFileTest : public testing::Test {
 protected:
  ChunkFileTest() {
    std::iota(tokens_.begin(), tokens_.end(), 7);
    const std::array<SectionSpec, 2> sections = {
        {{SectionKind::kUpper, 1000}, {SectionKind::kScales, 640}}};
    layout_ = ChunkLayout(sections);
    file_.resize(layout_.file_bytes());
    std::mt19937 random(1);
    for (std::byte& byte : file_) byte = static_cast<std::byte>(random());
    fingerprint_.fill(3);
    identity_.fingerprint = fingerprint_;
    identity_.parent = RootKey(fingerprint_, "salt");
    identity_.key = ChildKey(identity_.parent, tokens_);
    identity_.tokens = tokens_;
    layout_.Seal(identity_, file_);
  }

  std::array<Token, kChunkFileTokens> tokens_{};
  Sha256Hash fingerprint_{};
  ChunkIdentity identity_;
  ChunkLayout layout_;
  std::vector<std::byte> file_;
};

TEST_F(ChunkFileTest, IsIntactAsItWasWritten) {
  EXPECT_TRUE(layout_.IsIntact(identity_, file_));
  EXPECT_EQ(file_.size(), kChunkHeaderBytes + 1024 + 640);
  EXPECT_EQ(layout_.Section(std::span(file_), 1).data(), file_.data() + kChunkHeaderBytes + 1024);
  EXPECT_EQ(ParentInHeader(file_), identity_.parent);
}

TEST_F(ChunkFileTest, NoticesEveryFlippedBitAndEveryTruncation) {
  for (size_t bit = 0; bit < 8 * file_.size(); ++bit) {
    file_[bit / 8] ^= std::byte{1} << (bit % 8);
    ASSERT_FALSE(layout_.IsIntact(identity_, file_)) << "bit " << bit;
    if (bit < 8 * kChunkHeaderBytes) {
      ASSERT_FALSE(ParentInHeader(file_));
    }
    file_[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  for (size_t bytes = 0; bytes < file_.size(); ++bytes) {
    ASSERT_FALSE(layout_.IsIntact(identity_, std::span(file_).first(bytes)));
  }
}

TEST_F(ChunkFileTest, IsNoOtherChunks) {
  ChunkIdentity other = identity_;
  other.fingerprint[31] ^= 1;
  EXPECT_FALSE(layout_.IsIntact(other, file_));
  other = identity_;
  other.parent[0] ^= 1;
  EXPECT_FALSE(layout_.IsIntact(other, file_));
  other = identity_;
  other.key[0] ^= 1;
  EXPECT_FALSE(layout_.IsIntact(other, file_));
  // Tokens are compared, even where the key says that they are the same.
  auto tokens = tokens_;
  ++tokens.back();
  other = identity_;
  other.tokens = tokens;
  EXPECT_FALSE(layout_.IsIntact(other, file_));
  // Nor of an engine whose chunks look different.
  const std::array<SectionSpec, 2> sections = {
      {{SectionKind::kUpper, 1000}, {SectionKind::kLower, 640}}};
  EXPECT_FALSE(ChunkLayout(sections).IsIntact(identity_, file_));
}

TEST_F(ChunkFileTest, KeysFollowTokensKindSaltAndFingerprint) {
  auto tokens = tokens_;
  ++tokens[5];
  EXPECT_NE(ChildKey(identity_.parent, tokens), identity_.key);
  EXPECT_NE(ChildKey(identity_.parent, tokens_, ChunkKind::kGenerated), identity_.key);
  EXPECT_NE(RootKey(fingerprint_, ""), identity_.parent);
  Sha256Hash other = fingerprint_;
  ++other[0];
  EXPECT_NE(RootKey(other, "salt"), identity_.parent);
}

}  // namespace
}  // namespace quantspec
