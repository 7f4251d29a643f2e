#include "engine/prompt_store.h"

#include <gtest/gtest.h>

#include <numeric>

namespace quantspec {
namespace {

using Chunk = std::vector<Token>;

Chunk ChunkOf(Token first) {
  Chunk chunk(kChunkTokens);
  std::iota(chunk.begin(), chunk.end(), first);
  return chunk;
}

class PromptStoreTest : public testing::Test {
 protected:
  // A chunk's slots, which nobody but the caller holds.
  std::array<int32_t, 2> TakeSlots() {
    const int32_t first = pool_.Take(-1);
    return {first, pool_.Take(first)};
  }
  void Release(const std::array<int32_t, 2>& slots) {
    for (const int32_t slot : slots) pool_.Release(slot);
  }
  // Stores a chunk that nobody uses any more.
  PromptStore::Node* Add(PromptStore::Node* parent, const Chunk& chunk) {
    const auto slots = TakeSlots();
    PromptStore::Node* node = store_.Add(parent, chunk, slots);
    Release(slots);
    return node;
  }

  std::unique_ptr<Backend> backend_ = MakeReferenceBackend();
  GroupPool pool_{{{1, 16}, 1, 20}, *backend_};
  PromptStore store_{pool_};
};

TEST_F(PromptStoreTest, FindsChunksByTheirTokensAndThoseBefore) {
  PromptStore::Node* a = Add(nullptr, ChunkOf(0));
  PromptStore::Node* b = Add(a, ChunkOf(7));
  EXPECT_EQ(store_.Find(nullptr, ChunkOf(0)), a);
  EXPECT_EQ(store_.Find(a, ChunkOf(7)), b);
  EXPECT_EQ(store_.Find(nullptr, ChunkOf(7)), nullptr);
  EXPECT_EQ(store_.Find(b, ChunkOf(7)), nullptr);
  Chunk almost = ChunkOf(0);
  ++almost.back();
  EXPECT_EQ(store_.Find(nullptr, almost), nullptr);
}

TEST_F(PromptStoreTest, KeepsTheFirstOfTwoEqualChunks) {
  PromptStore::Node* a = Add(nullptr, ChunkOf(0));
  const int free = pool_.free_slots();
  EXPECT_EQ(Add(nullptr, ChunkOf(0)), a);
  EXPECT_EQ(pool_.free_slots(), free);
  EXPECT_EQ(store_.chunks(), 1);
}

TEST_F(PromptStoreTest, EvictsTheLeastRecentlyUsedLeafThatNobodyUses) {
  PromptStore::Node* a = Add(nullptr, ChunkOf(0));
  PromptStore::Node* b = Add(a, ChunkOf(1));
  PromptStore::Node* c = Add(nullptr, ChunkOf(2));
  PromptStore::Node* d = Add(a, ChunkOf(3));
  for (const int32_t slot : c->slots) pool_.Share(slot);  // a sequence's
  store_.Find(a, ChunkOf(1));
  EXPECT_TRUE(store_.EvictOne());
  EXPECT_EQ(store_.Find(a, ChunkOf(3)), nullptr) << "the oldest leaf";
  EXPECT_EQ(store_.Find(a, ChunkOf(1)), b);
  EXPECT_TRUE(store_.EvictOne());
  EXPECT_TRUE(store_.EvictOne());
  EXPECT_EQ(store_.Find(nullptr, ChunkOf(0)), nullptr);
  EXPECT_FALSE(store_.EvictOne()) << "the last one is in use";
  EXPECT_EQ(pool_.free_slots(), 18);
  (void)d;
}

TEST_F(PromptStoreTest, KeepsGeneratedChunksForThoseWhoTakeAll) {
  const auto add = [&](PromptStore::Node* parent, Token first, ChunkKind kind) {
    const auto slots = TakeSlots();
    PromptStore::Node* node = store_.Add(parent, ChunkOf(first), slots, kind);
    Release(slots);
    return node;
  };
  PromptStore::Node* question = add(nullptr, 0, ChunkKind::kPrompt);
  PromptStore::Node* answer = add(question, 1, ChunkKind::kGenerated);
  PromptStore::Node* next = add(answer, 2, ChunkKind::kGenerated);
  EXPECT_EQ(store_.Find(question, ChunkOf(1)), nullptr);
  EXPECT_EQ(store_.Find(question, ChunkOf(1), PromptReuse::kAll), answer);
  EXPECT_EQ(store_.Find(answer, ChunkOf(2), PromptReuse::kAll), next);
  std::vector<Token> all;
  for (const Token first : {0, 1, 2}) {
    const Chunk chunk = ChunkOf(first);
    all.insert(all.end(), chunk.begin(), chunk.end());
  }
  all.push_back(5);
  for (const PromptStore::Node* node : {question, answer, next}) {
    for (const int32_t slot : node->slots) pool_.Hold(slot);
  }
  EXPECT_EQ(store_.CountHeld({}, all), 2);
  EXPECT_EQ(store_.CountHeld({}, all, PromptReuse::kAll), 6);
  // The same tokens, read as a prompt: beside it, and rather taken.
  PromptStore::Node* read = add(question, 1, ChunkKind::kPrompt);
  EXPECT_NE(read, answer);
  EXPECT_NE(read->key, answer->key);
  EXPECT_NE(next->key, ChildKey(answer->key, ChunkOf(2)));
  EXPECT_EQ(store_.chunks(), 4);
  EXPECT_EQ(store_.Find(question, ChunkOf(1)), read);
  EXPECT_EQ(store_.Find(question, ChunkOf(1), PromptReuse::kAll), read);
  EXPECT_EQ(store_.Find(read, ChunkOf(2), PromptReuse::kAll), nullptr);
}

// Memory for the rows of two chunks.
class PromptStoreRows : public PromptStoreTest {
 protected:
  static bool HasRows(const PromptStore::Node* node) { return node->rows != PromptStore::kNoRows; }

  ChunkRows rows_{{{1, 16}, 3, 2}, *backend_};
  PromptStore windowed_{pool_, &rows_};
};

TEST_F(PromptStoreRows, GoBeforeTheirChunks) {
  std::vector<PromptStore::Node*> nodes;
  for (const Token first : {0, 1, 2, 3}) {
    const auto slots = TakeSlots();
    nodes.push_back(windowed_.Add(nullptr, ChunkOf(first), slots));
    Release(slots);
  }
  EXPECT_TRUE(windowed_.TakeRows(nodes[0]).empty());
  EXPECT_EQ(windowed_.AddRows(nodes[0]).size(), 3u);
  EXPECT_TRUE(windowed_.AddRows(nodes[0]).empty()) << "it has them";
  windowed_.AddRows(nodes[1]);
  EXPECT_EQ(windowed_.TakeRows(nodes[0]).size(), 3u);
  windowed_.Find(nullptr, ChunkOf(1));
  EXPECT_FALSE(windowed_.AddRows(nodes[2]).empty());
  EXPECT_TRUE(HasRows(nodes[0])) << "a sequence took them";
  EXPECT_FALSE(HasRows(nodes[1])) << "used later, but by its slots alone";
  EXPECT_EQ(windowed_.Find(nullptr, ChunkOf(1)), nodes[1]);
  EXPECT_EQ(rows_.Take(), -1);
  EXPECT_TRUE(windowed_.EvictOne()) << "of the first, which was used longest ago";
  EXPECT_NE(rows_.Take(), -1) << "rows go with their chunk";
}

TEST_F(PromptStoreRows, AreNoneWhereThereIsNoMemoryForThem) {
  PromptStore::Node* node = Add(nullptr, ChunkOf(0));
  EXPECT_TRUE(store_.AddRows(node).empty());
  EXPECT_TRUE(store_.TakeRows(node).empty());
}

TEST(PromptStore, GivesItsSlotsBackAtTheEnd) {
  const auto backend = MakeReferenceBackend();
  GroupPool pool({{1, 16}, 1, 4}, *backend);
  {
    PromptStore store(pool);
    const std::array<int32_t, 2> slots = {pool.Take(-1), pool.Take(0)};
    store.Add(store.Add(nullptr, ChunkOf(0), slots), ChunkOf(1), slots);
    for (const int32_t slot : slots) pool.Release(slot);
    EXPECT_EQ(pool.free_slots(), 2);
  }
  EXPECT_EQ(pool.free_slots(), 4);
}

}  // namespace
}  // namespace quantspec
