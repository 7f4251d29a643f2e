// Both kinds of cache against a plain list of rows, over the reference backend.
#include "cache/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "cache/cache_user.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

using cache_user::CacheUser;
using cache_user::SpecOf;
using cache_user::World;

constexpr CacheKind kBoth[] = {CacheKind::kFull, CacheKind::kHierarchical};

TEST(KvCache, BytesGrowWithTheContextOnlyWhereRowsAreDense) {
  const auto backend = MakeReferenceBackend();
  EXPECT_LT(KvCacheBytes(SpecOf(CacheKind::kFull, 1000), *backend),
            KvCacheBytes(SpecOf(CacheKind::kFull, 2000), *backend));
  EXPECT_EQ(KvCacheBytes(SpecOf(CacheKind::kHierarchical, 1000), *backend),
            KvCacheBytes(SpecOf(CacheKind::kHierarchical, 2000), *backend));
  EXPECT_EQ(SlotsOf(SpecOf(CacheKind::kHierarchical, 1000)), 7);
  EXPECT_EQ(SlotsOf(SpecOf(CacheKind::kFull, 1000)), 0);
}

TEST(HierarchicalCache, RoundsWithDraftsLeaveWhatPlainAppendsLeave) {
  std::mt19937 random(7);
  World world(20);
  CacheUser plain(world, CacheKind::kHierarchical, 1200);
  CacheUser rounds(world, CacheKind::kHierarchical, 1200);
  plain.Prompt(300);
  rounds.Prompt(300);
  while (rounds.cache().Length() < 1150) {
    KvCache& cache = rounds.cache();
    const int start = cache.Length();
    const int step = std::min<int>(cache.Room(), 1 + static_cast<int>(random() % 17));
    for (int i = 1; i < step; ++i) rounds.Append(1, true);
    cache.Truncate(start);
    rounds.Append(step);
    cache.Truncate(start + 1 + static_cast<int>(random() % static_cast<unsigned>(step)));
    cache.Commit(rounds.backend(), RowKind::kDecode);
    plain.Generate(cache.Length() - plain.cache().Length());
    ASSERT_EQ(plain.DigestValue(), rounds.DigestValue()) << cache.Length();
  }
  rounds.ExpectContents();
  EXPECT_EQ(rounds.cache().Sealed(), (1150 / kKvGroup - 1) * kKvGroup);
}

// The history of a sequence: prompts and answers in turn.
TEST(HierarchicalCache, WhatIsSealedDependsOnTokensAndPromptsAlone) {
  std::mt19937 random(3);
  for (int run = 0; run < 20; ++run) {
    World world(40);
    CacheUser whole(world, CacheKind::kHierarchical, 2500);
    CacheUser pieces(world, CacheKind::kHierarchical, 2500);
    while (whole.cache().Length() < 2000) {
      const int prompt = 1 + static_cast<int>(random() % 400),
                answer = static_cast<int>(random() % 90);
      whole.Prompt(prompt);
      pieces.Prompt(prompt, 1 + static_cast<int>(random() % 60));
      EXPECT_EQ(whole.cache().Sealed(), whole.cache().Length() / kChunkTokens * kChunkTokens);
      whole.Generate(answer);
      pieces.Generate(answer);
      ASSERT_EQ(whole.DigestValue(), pieces.DigestValue());
      EXPECT_LE(whole.cache().Sealed(), whole.cache().Length() / kChunkTokens * kChunkTokens);
      EXPECT_LT(whole.cache().Length() - whole.cache().Sealed(), 2 * kKvGroup);
      EXPECT_GT(whole.cache().Room(), 0);
    }
    pieces.ExpectContents();
  }
}

TEST(HierarchicalCache, APromptThatIsCancelledAndRepeatedLeavesTheSame) {
  World world(20);
  CacheUser once(world, CacheKind::kHierarchical, 1000),
      twice(world, CacheKind::kHierarchical, 1000);
  for (CacheUser* user : {&once, &twice}) {
    user->Prompt(100);
    user->Generate(170);
  }
  twice.cache().StartPrompt(twice.backend());
  twice.Append(50, true);
  twice.cache().Truncate(270);
  EXPECT_EQ(twice.cache().Sealed(), kChunkTokens) << "a cancelled prompt has sealed what was due";
  once.Prompt(300);
  twice.Prompt(300);
  EXPECT_EQ(once.DigestValue(), twice.DigestValue());
}

TEST(HierarchicalCache, RoundsEndWhereAGroupIsSealed) {
  World world(20);
  CacheUser user(world, CacheKind::kHierarchical, 2000);
  EXPECT_EQ(user.cache().Room(), 2 * kKvGroup);
  user.Prompt(5 * kKvGroup + 3);
  EXPECT_EQ(user.cache().Sealed(), 4 * kKvGroup);
  EXPECT_EQ(user.cache().Room(), kKvGroup - 3);
  user.Append(kKvGroup - 3);
  EXPECT_EQ(user.cache().Room(), 0);
  user.cache().Commit(user.backend(), RowKind::kDecode);
  EXPECT_EQ(user.cache().Room(), kKvGroup);
  EXPECT_EQ(user.cache().View(0).Groups(), 5);
  EXPECT_EQ(user.cache().View(0).dense[0].rows, kKvGroup);
}

TEST(KvCache, RoomEndsWithTheContext) {
  for (const CacheKind kind : kBoth) {
    World world(4);
    CacheUser user(world, kind, 300);
    user.Prompt(290);
    EXPECT_EQ(user.cache().Room(), 10);
    EXPECT_EQ(user.cache().PromptRoom(), 10);
    user.Append(10);
    user.cache().Commit(user.backend(), RowKind::kDecode);
    EXPECT_EQ(user.cache().Room(), 0);
  }
}

TEST(HierarchicalCache, RewindsToChunksThatAreSealed) {
  World world(40);
  CacheUser user(world, CacheKind::kHierarchical, 2000),
      fresh(world, CacheKind::kHierarchical, 2000);
  user.Prompt(700);
  user.Generate(40);
  for (const int length : {90, 128, 300, 700, 739, 768, -256}) {
    EXPECT_FALSE(user.cache().CanRewind(length)) << length;
  }
  EXPECT_TRUE(user.cache().CanRewind(740));
  EXPECT_EQ(user.cache().PromptTokens(), 700);
  user.cache().Rewind(256);
  user.Prompt(256);
  EXPECT_EQ(user.cache().PromptTokens(), 512) << "the generated rows are gone";
  user.cache().Rewind(256);
  fresh.Prompt(256);
  EXPECT_EQ(user.DigestValue(), fresh.DigestValue());
  user.Prompt(10);
  user.ExpectContents();
}

TEST(HierarchicalCache, KnowsWhichRowsArePrompts) {
  World world(20);
  CacheUser first(world, CacheKind::kHierarchical, 1000),
      second(world, CacheKind::kHierarchical, 1000);
  first.Prompt(512);
  KvCache& cache = second.cache();
  cache.AttachChunk(second.backend(), first.cache().Slots().first(2), RowKind::kPrompt);
  cache.AttachChunk(second.backend(), first.cache().Slots().subspan(2, 2), RowKind::kDecode);
  EXPECT_EQ(cache.Length(), 512);
  EXPECT_EQ(cache.PromptTokens(), 256);
  second.Prompt(300);
  EXPECT_EQ(cache.PromptTokens(), 256) << "prompts behind generated tokens do not count";
  cache.Rewind(256);
  second.Prompt(10);
  EXPECT_EQ(cache.PromptTokens(), 266);
}

TEST(HierarchicalCache, SharesChunksAndNeverCopiesThem) {
  World world(20);
  CacheUser first(world, CacheKind::kHierarchical, 1000),
      second(world, CacheKind::kHierarchical, 1000);
  first.Prompt(600);
  const int free = world.pool->free_slots();
  second.cache().AttachChunk(second.backend(), first.cache().Slots().first(2), RowKind::kPrompt);
  second.cache().AttachChunk(second.backend(), first.cache().Slots().subspan(2, 2),
                             RowKind::kPrompt);
  EXPECT_EQ(second.cache().PromptTokens(), 512);
  EXPECT_EQ(world.pool->free_slots(), free);
  EXPECT_EQ(second.cache().Length(), 512);
  second.Prompt(88);
  EXPECT_EQ(first.DigestValue(), second.DigestValue());
  EXPECT_EQ(world.pool->free_slots(), free);
  first.cache().Rewind(0);
  second.ExpectContents();
  EXPECT_EQ(world.pool->free_slots(), free) << "the second still reads them";
  second.cache().Rewind(0);
  EXPECT_EQ(world.pool->free_slots(), free + 4);
}

TEST(KvCache, ForksGoTheirOwnWays) {
  for (const CacheKind kind : kBoth) {
    World world(40);
    CacheUser first(world, kind, 1000), second(world, kind, 1000);
    first.Prompt(300);
    first.Generate(130);
    const int free = world.pool->free_slots();
    second.Take(first.cache().Fork(first.backend()));
    EXPECT_EQ(world.pool->free_slots(), free);
    EXPECT_EQ(first.DigestValue(), second.DigestValue());
    second.Generate(200);
    second.ExpectContents();
    first.ExpectContents();
    EXPECT_NE(first.DigestValue(), second.DigestValue());
    first.Generate(200);
    EXPECT_EQ(first.DigestValue(), second.DigestValue());
  }
}

TEST(HierarchicalCache, ReservesItsSlotsAndGivesThemBack) {
  World world(10);
  {
    CacheUser first(world, CacheKind::kHierarchical, 7 * kKvGroup);
    first.Prompt(600);
    EXPECT_EQ(world.pool->free_slots(), 6);
    EXPECT_THROW(CacheUser(world, CacheKind::kHierarchical, 4 * kKvGroup), Error);
    const CacheUser second(world, CacheKind::kHierarchical, 3 * kKvGroup);
    EXPECT_EQ(world.pool->reserved(), 10);
  }
  EXPECT_EQ(world.pool->reserved(), 0);
  EXPECT_EQ(world.pool->free_slots(), 10);
}

TEST(GroupPool, GivesFreshSequencesNeighbours) {
  World world(12);
  GroupPool& pool = *world.pool;
  int32_t first = pool.Take(-1);
  EXPECT_EQ(first, 0);
  EXPECT_EQ(pool.Take(first), 1);
  const int32_t other = pool.Take(-1);
  EXPECT_EQ(other, 2);
  EXPECT_EQ(pool.Take(1), 3) << "behind 1 is taken: the longest free run";
  pool.Release(0);
  pool.Release(1);
  EXPECT_EQ(pool.Take(-1), 4) << "the longest free run";
  EXPECT_EQ(pool.free_slots(), 9);
  while (pool.free_slots() > 0) pool.Take(-1);
  EXPECT_EQ(pool.Take(-1), -1);
}

TEST(FullCache, TruncatesOverwritesAndRewindsAnywhere) {
  World world(0);
  CacheUser user(world, CacheKind::kFull, 500);
  user.Prompt(100);
  user.Append(5, true);
  user.cache().Truncate(100);
  user.Append(7);
  user.ExpectContents();
  EXPECT_EQ(user.cache().Room(), 500 - 107);
  user.cache().Commit(user.backend(), RowKind::kDecode);
  user.cache().Rewind(33);
  EXPECT_EQ(user.cache().Length(), 33);
  user.ExpectContents();
}

TEST(KvCache, DigestSeesEveryLiveRowAndNoOther) {
  for (const CacheKind kind : kBoth) {
    World world(4);
    CacheUser user(world, kind, 500);
    user.Prompt(100);
    const uint64_t before = user.DigestValue();
    user.Append(1, true);
    EXPECT_NE(user.DigestValue(), before);
    user.cache().Truncate(100);
    EXPECT_EQ(user.DigestValue(), before);
  }
}

}  // namespace
}  // namespace quantspec
