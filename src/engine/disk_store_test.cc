#include "engine/disk_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>

#include "quantspec/error.h"

namespace quantspec {
namespace {

namespace fs = std::filesystem;

constexpr std::array<SectionSpec, 2> kSections = {
    {{SectionKind::kUpper, 6000}, {SectionKind::kScales, 1000}}};
constexpr size_t kFileBytes = kChunkHeaderBytes + 6016 + 1024;

using Chunk = std::array<Token, kChunkFileTokens>;

Chunk ChunkOf(int first) {
  Chunk chunk;
  for (size_t i = 0; i < chunk.size(); ++i) chunk[i] = first + static_cast<Token>(i % 7);
  return chunk;
}

// What the sections of a chunk hold: a function of its key.
void Fill(const ChunkKey& key, std::span<std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(key[i % 32] + i / 32);
}

class DiskStoreTest : public testing::Test {
 protected:
  DiskStoreTest() {
    std::string name = fs::temp_directory_path() / "disk-store-XXXXXX";
    root_ = mkdtemp(name.data());
    spec_.folder = root_ / "store";
    spec_.bytes = 100 * kFileBytes;
    spec_.fingerprint.fill(9);
  }
  ~DiskStoreTest() override { fs::remove_all(root_); }

  std::unique_ptr<DiskStore> Open() const {
    return std::make_unique<DiskStore>(spec_, ChunkLayout(kSections));
  }
  ChunkKey Root() const { return RootKey(spec_.fingerprint, ""); }
  // Offers the chunk and returns its key.
  static ChunkKey Offer(DiskStore& store, const ChunkKey& parent, int first) {
    const Chunk chunk = ChunkOf(first);
    const ChunkKey key = ChildKey(parent, chunk);
    store.Offer(parent, key, chunk, [&](std::span<std::byte> file) {
      for (size_t i = 0; i < kSections.size(); ++i) Fill(key, store.layout().Section(file, i));
    });
    return key;
  }
  ChunkKey Put(DiskStore& store, const ChunkKey& parent, int first) const {
    const ChunkKey key = Offer(store, parent, first);
    store.Flush();
    return key;
  }
  // True if the chunk is found; fails the test if it is found wrong.
  static bool Has(DiskStore& store, const ChunkKey& parent, int first) {
    const Chunk chunk = ChunkOf(first);
    const ChunkKey key = ChildKey(parent, chunk);
    const std::span<const std::byte> file = store.Load(parent, key, chunk);
    if (file.empty()) return false;
    for (size_t i = 0; i < kSections.size(); ++i) {
      const auto section = store.layout().Section(file, i);
      std::vector<std::byte> expected(section.size());
      Fill(key, expected);
      EXPECT_TRUE(std::ranges::equal(section, expected)) << "a chunk came back wrong";
    }
    return true;
  }
  fs::path PathOf(const ChunkKey& key) const {
    const std::string digits = HexOf(key);
    return fs::path(spec_.folder) / HexOf(spec_.fingerprint) / digits.substr(0, 2) /
           (digits + ".qsg");
  }
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(spec_.folder)) {
      if (!entry.is_directory() && entry.path().filename() != "lock") files.push_back(entry.path());
    }
    return files;
  }

  fs::path root_;
  DiskStoreSpec spec_;
};

TEST_F(DiskStoreTest, FindsAfterARestartWhatItWrote) {
  ChunkKey key;
  {
    const auto store = Open();
    EXPECT_FALSE(Has(*store, Root(), 1));
    key = Offer(*store, Root(), 1);
    Offer(*store, key, 2);
  }
  const auto store = Open();
  EXPECT_TRUE(Has(*store, Root(), 1));
  EXPECT_TRUE(Has(*store, key, 2));
  EXPECT_FALSE(Has(*store, Root(), 2)) << "behind another chunk";
  store->Flush();
  const PromptStoreCounters counters = store->counters();
  EXPECT_EQ(counters.files, 2);
  EXPECT_EQ(counters.bytes, 2 * kFileBytes);
  EXPECT_EQ(counters.hits, 2);
  EXPECT_EQ(counters.misses, 1);
  EXPECT_EQ(counters.warning, "");
  EXPECT_EQ(fs::file_size(PathOf(key)), kFileBytes);
  Put(*store, Root(), 1);
  EXPECT_EQ(store->counters().written, 0) << "it is there";
}

TEST_F(DiskStoreTest, OnlyTheOwnerMayReadOrWrite) {
  const auto store = Open();
  const fs::path path = PathOf(Put(*store, Root(), 1));
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  for (fs::path folder = path.parent_path(); folder != root_; folder = folder.parent_path()) {
    EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all) << folder;
  }
}

TEST_F(DiskStoreTest, DamagedFilesAreMissesAndAreWrittenAnew) {
  std::mt19937 random(5);
  const auto store = Open();
  const fs::path path = PathOf(Put(*store, Root(), 1));
  for (int i = 0; i < 1000; ++i) {
    if (i % 3 == 0) {
      fs::resize_file(path, random() % kFileBytes);
    } else {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      const auto at = static_cast<std::streamoff>(random() % kFileBytes);
      file.seekg(at);
      const char byte = static_cast<char>(file.get() ^ (1 << random() % 8));
      file.seekp(at);
      file.put(byte);
    }
    ASSERT_FALSE(Has(*store, Root(), 1)) << i;
    ASSERT_FALSE(fs::exists(path));
    Put(*store, Root(), 1);
    ASSERT_TRUE(Has(*store, Root(), 1)) << i;
  }
  EXPECT_EQ(store->counters().damaged, 1000);
}

TEST_F(DiskStoreTest, WhatOthersRemovedIsWrittenAnew) {
  const auto store = Open();
  const fs::path path = PathOf(Put(*store, Root(), 1));
  fs::remove(path);
  EXPECT_FALSE(Has(*store, Root(), 1));
  EXPECT_EQ(store->counters().files, 0);
  Put(*store, Root(), 1);
  EXPECT_TRUE(Has(*store, Root(), 1));
  fs::remove_all(path.parent_path());
  EXPECT_FALSE(Has(*store, Root(), 1));
  Put(*store, Root(), 1);
  EXPECT_TRUE(Has(*store, Root(), 1));
}

TEST_F(DiskStoreTest, WhatOthersWroteIsNotWrittenAgain) {
  const auto store = Open(), other = Open();
  store->Flush();
  const ChunkKey key = Put(*other, Root(), 1);
  Put(*other, key, 2);
  EXPECT_TRUE(Has(*store, Root(), 1));
  Put(*store, Root(), 1);
  EXPECT_EQ(store->counters().written, 0);
  EXPECT_EQ(store->counters().files, 1) << "as far as known";
}

TEST_F(DiskStoreTest, FollowsNoLinksAndWaitsForNoPipe) {
  const auto store = Open();
  const fs::path path = PathOf(Put(*store, Root(), 1));
  fs::rename(path, root_ / "elsewhere");
  fs::create_symlink(root_ / "elsewhere", path);
  EXPECT_FALSE(Has(*store, Root(), 1));
  fs::remove(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_FALSE(Has(*store, Root(), 1));
  fs::remove(path);
  const fs::path folder = path.parent_path();
  fs::rename(folder, root_ / "folder");
  fs::rename(root_ / "elsewhere", root_ / "folder" / path.filename());
  fs::create_directory_symlink(root_ / "folder", folder);
  EXPECT_FALSE(Has(*store, Root(), 1));
}

TEST_F(DiskStoreTest, RemovesTheLeastRecentlyUsedLeaf) {
  spec_.bytes = 4 * kFileBytes;
  auto store = Open();
  const ChunkKey a = Put(*store, Root(), 1);
  const ChunkKey b = Put(*store, a, 2);
  Put(*store, b, 3);
  Put(*store, Root(), 4);
  EXPECT_TRUE(Has(*store, Root(), 1));
  EXPECT_TRUE(Has(*store, a, 2));
  EXPECT_TRUE(Has(*store, b, 3));
  store->Flush();
  Put(*store, Root(), 5);
  EXPECT_FALSE(Has(*store, Root(), 4)) << "the oldest";
  // The order outlives the process, and so do parents.
  store = Open();
  EXPECT_TRUE(Has(*store, Root(), 5));
  Put(*store, Root(), 6);
  EXPECT_FALSE(Has(*store, b, 3)) << "the oldest without children";
  EXPECT_TRUE(Has(*store, a, 2));
  EXPECT_LE(store->counters().bytes, spec_.bytes);
  EXPECT_EQ(Files().size(), 4u);
}

TEST_F(DiskStoreTest, NeverRemovesWhatTheNewChunkStandsOn) {
  spec_.bytes = 2 * kFileBytes;
  const auto store = Open();
  const ChunkKey a = Put(*store, Root(), 1);
  const ChunkKey b = Put(*store, a, 2);
  Put(*store, b, 3);
  EXPECT_TRUE(Has(*store, Root(), 1));
  EXPECT_TRUE(Has(*store, a, 2));
  EXPECT_FALSE(Has(*store, b, 3)) << "there is no room for it";
}

TEST_F(DiskStoreTest, OldChunksOfOtherModelsMakeRoom) {
  spec_.bytes = 3 * kFileBytes;
  Put(*Open(), Root(), 1);
  spec_.fingerprint.fill(10);
  const auto store = Open();
  EXPECT_FALSE(Has(*store, Root(), 1)) << "another model's";
  for (int i = 0; i < 3; ++i) Put(*store, Root(), i);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Has(*store, Root(), i));
  EXPECT_EQ(Files().size(), 3u);
}

TEST_F(DiskStoreTest, RefusesAPathThatIsNoFolderAndALimitBelowOneFile) {
  std::ofstream(root_ / "file") << "text";
  spec_.folder = root_ / "file";
  EXPECT_THROW(Open(), Error);
  spec_.folder = root_ / "no" / "such";
  EXPECT_THROW(Open(), Error);
  spec_.folder = root_ / "store";
  spec_.bytes = kFileBytes - 1;
  EXPECT_THROW(Open(), Error);
}

// -------------------------------------------------------------------------- disks that fail

std::atomic<int> write_calls{0};

ssize_t WriteHalfThenFull(int file, const void* bytes, size_t count) {
  if (write_calls++ % 2 == 0) return write(file, bytes, count / 2);
  errno = ENOSPC;
  return -1;
}
ssize_t FailToRead(int, void*, size_t, off_t) {
  errno = EIO;
  return -1;
}
ssize_t FailToWrite(int, const void*, size_t) {
  errno = EROFS;
  return -1;
}

TEST_F(DiskStoreTest, AFullDiskEndsWritingWithOneWarning) {
  Put(*Open(), Root(), 1);
  spec_.calls.write = WriteHalfThenFull;
  write_calls = 0;
  const auto store = Open();
  for (int i = 2; i < 10; ++i) Put(*store, Root(), i);
  EXPECT_EQ(write_calls, 2) << "it did not stop";
  EXPECT_EQ(Files().size(), 1u) << "half a file stayed";
  EXPECT_NE(store->counters().warning.find("No space left"), std::string::npos);
  EXPECT_TRUE(Has(*store, Root(), 1)) << "what is there can be read";
}

TEST_F(DiskStoreTest, AReadErrorSwitchesTheStoreOff) {
  const fs::path path = PathOf(Put(*Open(), Root(), 1));
  spec_.calls.read = FailToRead;
  const auto store = Open();
  EXPECT_FALSE(Has(*store, Root(), 1));
  EXPECT_TRUE(fs::exists(path)) << "not the file's fault";
  EXPECT_NE(store->counters().warning.find("is off"), std::string::npos);
  Put(*store, Root(), 2);
  EXPECT_EQ(store->counters().written, 0);
}

TEST_F(DiskStoreTest, AReadOnlyFolderIsRead) {
  Put(*Open(), Root(), 1);
  spec_.calls.write = FailToWrite;
  const auto store = Open();
  Put(*store, Root(), 2);
  EXPECT_TRUE(Has(*store, Root(), 1));
  EXPECT_NE(store->counters().warning.find("Read-only"), std::string::npos);
  store->Flush();
  EXPECT_EQ(Files().size(), 1u);
}

// Runs `work` in a process of its own and returns what waitpid says of it.
int RunChild(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(DiskStoreTest, AFileSizeLimitIsAnErrorAndNoSignal) {
  const int status = RunChild([&] {
    const rlimit limit = {kFileBytes / 2, kFileBytes / 2};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto store = Open();
    Put(*store, Root(), 1);
    EXPECT_FALSE(Has(*store, Root(), 1));
    EXPECT_NE(store->counters().warning, "");
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// ------------------------------------------------------------------------- many and killed

TEST_F(DiskStoreTest, SurvivesWritersThatAreKilled) {
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto store = Open();
      for (int chunk = 0;; chunk = (chunk + 1) % 64) {
        Put(*store, Root(), 100 * i + chunk);
        Has(*store, Root(), 100 * i + chunk / 2);
      }
    }
    usleep(random() % 4000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    if (i % 20 != 0) continue;
    const auto store = Open();
    store->Flush();
    for (const fs::path& file : Files()) EXPECT_EQ(file.extension(), ".qsg") << "a leftover";
    for (int chunk = 0; chunk < 64; ++chunk) Has(*store, Root(), 100 * i + chunk);
    EXPECT_EQ(store->counters().damaged, 0) << "a file that was renamed is whole";
  }
}

TEST_F(DiskStoreTest, ProcessesShareAFolder) {
  spec_.bytes = 20 * kFileBytes;
  std::vector<pid_t> children;
  for (int process = 0; process < 3; ++process) {
    const pid_t child = fork();
    if (child == 0) {
      const auto store = Open();
      for (int i = 0; i < 300; ++i) {
        Put(*store, Root(), i % 40);
        Has(*store, Root(), (i * 7) % 40);
      }
      EXPECT_EQ(store->counters().warning, "");
      EXPECT_GT(store->counters().hits, 0);
      _exit(HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  const auto store = Open();
  Put(*store, Root(), 1000);
  EXPECT_LE(store->counters().bytes, spec_.bytes);
}

}  // namespace
}  // namespace quantspec
