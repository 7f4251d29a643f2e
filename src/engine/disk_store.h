// The prompt store's files: chunks that outlive the process and are shared between processes. A
// thread of its own writes behind, so that nobody waits for the disk; whatever goes wrong there
// ends writing, or the store, and never a request.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/function_ref.h"
#include "engine/chunk_file.h"
#include "engine/disk_folder.h"
#include "engine/disk_index.h"
#include "quantspec/types.h"

namespace quantspec {

struct DiskStoreSpec {
  std::string folder;  // empty: no store
  uint64_t bytes = 0;  // that files take at most
  Sha256Hash fingerprint{};
  DiskCalls calls = {};
};

class DiskStore {
 public:
  // Host memory that a store of such files takes.
  static uint64_t Bytes(size_t file_bytes) { return (kWriting + 1) * file_bytes; }
  // Throws Error: kIo if the folder is none, kUsage if not one file fits, kMemory.
  DiskStore(const DiskStoreSpec& spec, const ChunkLayout& layout);
  // Writes what waits.
  ~DiskStore();
  DiskStore(const DiskStore&) = delete;
  DiskStore& operator=(const DiskStore&) = delete;

  // ---- one thread at a time
  // The chunk's file, checked, valid until the next call; empty if it is not there or damaged.
  // `key` names it, `tokens` are compared.
  std::span<const std::byte> Load(const ChunkKey& parent, const ChunkKey& key,
                                  std::span<const Token> tokens);
  // A chunk was used or made: if there is no file of it, `fill` writes its sections into a file's
  // bytes, which are written later. Nothing happens while too many wait; the next use tries again.
  void Offer(const ChunkKey& parent, const ChunkKey& key, std::span<const Token> tokens,
             FunctionRef<void(std::span<std::byte> file)> fill);

  // ---- any thread
  PromptStoreCounters counters() const;
  // Returns once nothing waits to be written.
  void Flush();
  const ChunkLayout& layout() const { return layout_; }
  const Sha256Hash& fingerprint() const { return fingerprint_; }

 private:
  static constexpr size_t kWriting = 4;  // files that wait or are being written
  struct Write {
    ChunkKey parent{}, key{};
    size_t buffer = 0;
  };
  std::span<std::byte> FileOf(size_t buffer);
  void Run();
  void WriteFile(const Write& write);
  // Removes files until one more fits; false if that cannot be.
  bool MakeRoom(const ChunkKey& spared);
  void Rescan();
  void FindParents();
  // The first reason is the warning.
  void StopWriting(int error, bool stops_reading);

  const ChunkLayout layout_;
  const Sha256Hash fingerprint_;
  const std::string path_;
  const uint64_t limit_;
  DiskFolder folder_;
  Buffer memory_;           // kWriting files, then the one that is read
  int64_t scanned_ns_ = 0;  // the thread's

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  DiskIndex index_;
  std::vector<size_t> free_;  // buffers
  std::deque<Write> queue_;
  std::vector<ChunkKey> touched_;  // since the thread looked
  bool is_busy_ = true;            // the thread; with its first scan at the beginning
  bool is_ending_ = false;
  bool writes_ = true, reads_ = true;
  PromptStoreCounters counters_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace quantspec
