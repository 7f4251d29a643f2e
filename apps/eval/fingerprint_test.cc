#include "eval/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "eval/cell.h"
#include "eval/data_folder.h"

namespace quantspec::eval {
namespace {

TEST(HashBytes, IsFnv) {
  EXPECT_EQ(HashBytes(""), 0xcbf29ce484222325u);
  EXPECT_EQ(HashBytes("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(HashBytes("foobar"), 0x85944171f73967e8u);
  EXPECT_EQ(HexHash(HashBytes("a")), "af63dc4c8601ec8c");
}

TEST(HashFile, NoticesAChangeAnywhere) {
  const DataFolder folder;
  std::string bytes(3 << 20, 'x');
  std::set<uint64_t> hashes = {HashFile(folder.Write("m", bytes))};
  for (const size_t at : {size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
    std::string other = bytes;
    other[at] = 'y';
    EXPECT_TRUE(hashes.insert(HashFile(folder.Write("m", other))).second) << at;
  }
  EXPECT_TRUE(hashes.insert(HashFile(folder.Write("m", bytes + "x"))).second);
  EXPECT_TRUE(hashes.insert(HashFile(folder.Write("m", ""))).second);
  EXPECT_THAT(MessageOf([&] { HashFile(folder.path() + "/none"); }), testing::HasSubstr("none"));
}

TEST(HashFile, SamplesALargeFileUpToItsEnd) {
  const DataFolder folder;
  std::string bytes(20 << 20, 'x');
  const uint64_t hash = HashFile(folder.Write("m", bytes));
  for (const size_t at : {size_t{0}, bytes.size() - 1}) {
    std::string other = bytes;
    other[at] = 'y';
    EXPECT_NE(HashFile(folder.Write("m", other)), hash) << at;
  }
  // Other weights, of which the head says nothing.
  std::string retrained = bytes;
  for (size_t i = 4 << 20; i < retrained.size(); i += 997) retrained[i] = 'y';
  EXPECT_NE(HashFile(folder.Write("m", retrained)), hash);
}

TEST(IdentifyModel, CoversAllPartsOfASplitModel) {
  const DataFolder folder;
  const std::string first = folder.Write("m-00001-of-00002.gguf", "one");
  const std::string second = folder.Write("m-00002-of-00002.gguf", "two");
  const ModelIdentity model = IdentifyModel(first);
  EXPECT_EQ(model.bytes, 6u);
  EXPECT_EQ(IdentifyModel(second).hash, model.hash);
  EXPECT_EQ(IdentifyModel(second).name, model.name);
  folder.Write("m-00002-of-00002.gguf", "TWO");
  EXPECT_NE(IdentifyModel(first).hash, model.hash);
  EXPECT_THROW(IdentifyModel(folder.path() + "/n-00001-of-00002.gguf"), Error);
}

}  // namespace
}  // namespace quantspec::eval
