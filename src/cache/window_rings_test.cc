// Caches of models whose layers have windows: what they keep, and that it depends on tokens alone.
#include "cache/window_rings.h"

#include <gtest/gtest.h>

#include <random>

#include "cache/cache_user.h"
#include "cache/chunk_rows.h"
#include "cache/draft_policy.h"

namespace quantspec {
namespace {

using cache_user::CacheUser;
using cache_user::kGeometry;
using cache_user::SpecOf;
using cache_user::World;

constexpr CacheKind kBoth[] = {CacheKind::kFull, CacheKind::kHierarchical};
// A window and none, two, and one beyond every context here.
const std::vector<int> kWindows[] = {{100, 0}, {0, 300}, {1, 256}, {257, 100000}};
constexpr int kContext = 2000;

TEST(WindowRings, TakeWhatTheirWindowsAskForAndPoolsTheRest) {
  const auto backend = MakeReferenceBackend();
  const auto bytes = [&](int context, const std::vector<int>& windows) {
    return WindowRings::Bytes(SpecOf(CacheKind::kHierarchical, context, windows), *backend);
  };
  const uint64_t row = 2 * backend->DenseBytes(kGeometry, KvType::kF16, 16) / 16;
  EXPECT_EQ(bytes(kContext, {}), 0u);
  EXPECT_EQ(bytes(kContext, {100, 0}), 512 * row);
  EXPECT_EQ(bytes(kContext, {256, 257}), (512 + 768) * row);
  EXPECT_EQ(bytes(40, {100, 0}), 48 * row) << "no more than the context";
  const auto all = [&](const std::vector<int>& windows) {
    return KvCacheBytes(SpecOf(CacheKind::kFull, kContext, windows), *backend);
  };
  EXPECT_EQ(all({100, 0}), (512 + kContext) * row);
  EXPECT_EQ(SpecOf(CacheKind::kFull, 9, {100, 0}).FullLayers(), 1);
}

TEST(WindowRings, RoundsWithDraftsLeaveWhatPlainAppendsLeave) {
  for (const CacheKind kind : kBoth) {
    for (const std::vector<int>& windows : kWindows) {
      std::mt19937 random(7);
      World world(40, windows);
      CacheUser plain(world, kind, kContext), rounds(world, kind, kContext);
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
    }
  }
}

TEST(WindowRings, WhatIsKeptDependsOnTokensAndPromptsAlone) {
  for (const CacheKind kind : kBoth) {
    for (const std::vector<int>& windows : kWindows) {
      std::mt19937 random(3);
      World world(40, windows);
      CacheUser whole(world, kind, kContext), pieces(world, kind, kContext);
      while (whole.cache().Length() < 1500) {
        const int prompt = 1 + static_cast<int>(random() % 400),
                  answer = static_cast<int>(random() % 90);
        whole.Prompt(prompt);
        pieces.Prompt(prompt, 1 + static_cast<int>(random() % 60));
        whole.Generate(answer);
        pieces.Generate(answer);
        ASSERT_EQ(whole.DigestValue(), pieces.DigestValue());
        pieces.ExpectContents();
      }
    }
  }
}

// As long as a step may be.
TEST(WindowRings, ARoundAsLargeAsTheRoomOverwritesNothingThatIsSeen) {
  for (const CacheKind kind : kBoth) {
    for (const std::vector<int>& windows : kWindows) {
      World world(40, windows);
      CacheUser user(world, kind, kContext);
      user.Prompt(511);
      user.Generate(2);
      const int length = user.cache().Length();
      const int room = user.cache().Room();
      EXPECT_GE(room, static_cast<int>(kStepRows));
      if (kind == CacheKind::kFull) {
        EXPECT_GE(room, 2 * kKvGroup - 15);
      }
      user.Append(room, true);
      user.cache().Truncate(length);
      user.ExpectContents();
      user.Append(room);
      user.ExpectContents();
    }
  }
}

TEST(WindowRings, RewindAsFarAsRowsAreThere) {
  for (const CacheKind kind : kBoth) {
    World world(40, {100, 0});
    CacheUser user(world, kind, kContext), fresh(world, kind, kContext);
    user.Prompt(700);  // rows from 188 on
    EXPECT_TRUE(user.cache().CanRewind(700));
    EXPECT_TRUE(user.cache().CanRewind(512));
    EXPECT_FALSE(user.cache().CanRewind(256));
    EXPECT_TRUE(user.cache().CanRewind(0));
    EXPECT_EQ(user.cache().CanRewind(288), kind == CacheKind::kFull);
    EXPECT_FALSE(user.cache().CanRewind(287));
    user.cache().Rewind(512);
    EXPECT_FALSE(user.cache().CanRewind(256)) << "rows that were overwritten stay so";
    fresh.Prompt(512);
    EXPECT_EQ(user.DigestValue(), fresh.DigestValue());
    user.Prompt(300);
    fresh.Prompt(300);
    EXPECT_EQ(user.DigestValue(), fresh.DigestValue());
    user.cache().Rewind(0);
    user.Prompt(812);
    EXPECT_EQ(user.DigestValue(), fresh.DigestValue());
    user.ExpectContents();
  }
}

TEST(WindowRings, ForksGoTheirOwnWays) {
  for (const CacheKind kind : kBoth) {
    for (const std::vector<int>& windows : kWindows) {
      World world(60, windows);
      CacheUser first(world, kind, kContext), second(world, kind, kContext);
      first.Prompt(1300);
      first.Generate(130);
      second.Take(first.cache().Fork(first.backend()));
      EXPECT_EQ(first.DigestValue(), second.DigestValue());
      second.Generate(200);
      second.ExpectContents();
      first.ExpectContents();
      first.Generate(200);
      EXPECT_EQ(first.DigestValue(), second.DigestValue());
      if (windows[0] == 100) {
        EXPECT_FALSE(second.cache().CanRewind(1280)) << "was not copied";
      }
    }
  }
}

TEST(WindowRings, DigestsCountTheRowsOfTheWindow) {
  World world(0, {100, 50});
  CacheUser user(world, CacheKind::kFull, kContext), other(world, CacheKind::kFull, kContext);
  user.Prompt(300);
  other.Append(250, true);
  other.cache().Commit(other.backend(), RowKind::kPrompt);
  other.Prompt(50);
  EXPECT_NE(user.DigestValue(), other.DigestValue());
  user.Prompt(49);
  other.Prompt(49);
  EXPECT_NE(user.DigestValue(), other.DigestValue());
  user.Prompt(1);
  other.Prompt(1);
  EXPECT_EQ(user.DigestValue(), other.DigestValue()) << "rows behind all windows count no more";
}

TEST(WindowRings, RestoreStoredChunks) {
  for (const std::vector<int>& windows : kWindows) {
    World world(40, windows);
    const KvCacheSpec spec = SpecOf(CacheKind::kHierarchical, kContext, windows);
    ChunkRows rows({kGeometry, spec.layers - spec.FullLayers(), 4}, *world.backend);
    CacheUser first(world, CacheKind::kHierarchical, kContext),
        second(world, CacheKind::kHierarchical, kContext);
    for (int chunk = 0; chunk < 4; ++chunk) {
      first.Prompt(kChunkTokens);
      ASSERT_EQ(rows.Take(), chunk);
      first.cache().SaveLastChunk(first.backend(), rows.Block(chunk));
    }
    EXPECT_EQ(rows.Take(), -1);
    const auto needed = CeilDiv(std::min(std::ranges::max(windows), 1024), kChunkTokens);
    for (int chunk = 0; chunk < 4; ++chunk) {
      second.cache().AttachChunk(
          second.backend(), first.cache().Slots().subspan(2 * static_cast<size_t>(chunk), 2),
          RowKind::kPrompt,
          chunk + needed >= 4 ? rows.Block(chunk) : std::span<const DenseSegment>{});
    }
    second.ExpectContents();
    EXPECT_EQ(first.DigestValue(), second.DigestValue());
    if (needed < 4) {
      EXPECT_FALSE(second.cache().CanRewind(256));
    }
    first.Prompt(88);
    second.Prompt(88);
    EXPECT_EQ(first.DigestValue(), second.DigestValue());
  }
}

TEST(DraftPolicy, ReadsWhatTheTargetDoesWhereAllLayersHaveWindows) {
  const auto backend = MakeReferenceBackend();
  for (const DraftKind kind : {DraftKind::kGroups, DraftKind::kSnapKv, DraftKind::kStreaming}) {
    DraftPolicySpec spec;
    spec.geometry = kGeometry;
    spec.q_heads = 2;
    spec.context = kContext;
    spec.draft.kind = kind;
    EXPECT_EQ(DraftPolicyBytes(spec, *backend), 0u);
    const auto policy = MakeDraftPolicy(spec, *backend);
    policy->BeginStep(*backend, {Reader::kDraft, 5, 1, 5, [](int) { return KvView(); }});
    KvView view;
    view.dense_count = 2;
    EXPECT_EQ(policy->View(0, view).dense_count, 2);
    EXPECT_EQ(policy->Masses(0), nullptr);
  }
}

}  // namespace
}  // namespace quantspec
