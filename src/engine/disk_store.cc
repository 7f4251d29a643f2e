#include "engine/disk_store.h"

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int64_t kRescan_ns = 10'000'000'000;  // others write into the folder, too
constexpr size_t kMostTouched = 1024;

// Signals are the program's business; a file beyond its limit is an error here, not a signal.
void BlockSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

DiskStore::DiskStore(const DiskStoreSpec& spec, const ChunkLayout& layout)
    : layout_(layout),
      fingerprint_(spec.fingerprint),
      path_(spec.folder),
      limit_(spec.bytes),
      folder_(spec.folder, spec.fingerprint, spec.calls) {
  if (limit_ < layout.file_bytes()) {
    throw Error(ErrorKind::kUsage, "prompt_store_bytes: found " + std::to_string(limit_) +
                                       ", but one chunk of this model takes " +
                                       std::to_string(layout.file_bytes()) + " bytes");
  }
  memory_ = Buffer(Bytes(layout.file_bytes()));
  for (size_t i = 0; i < kWriting; ++i) free_.push_back(i);
  if (folder_.error() != 0) StopWriting(folder_.error(), /*stops_reading=*/false);
  thread_ = std::thread([this] { Run(); });
}

DiskStore::~DiskStore() {
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::span<std::byte> DiskStore::FileOf(size_t buffer) {
  const size_t bytes = layout_.file_bytes();
  return {memory_.As<std::byte>() + buffer * bytes, bytes};
}

std::span<const std::byte> DiskStore::Load(const ChunkKey& parent, const ChunkKey& key,
                                           std::span<const Token> tokens) {
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (!reads_) return {};
  }
  const std::span<std::byte> file = FileOf(kWriting);
  const int error = folder_.Read(key, file);
  const bool is_intact = error == 0 && layout_.IsIntact({fingerprint_, parent, key, tokens}, file);
  const bool is_damaged = error == EBADMSG || (error == 0 && !is_intact);
  if (is_damaged) folder_.Remove(key);  // it is written anew when it was computed
  if (error == EIO) StopWriting(error, /*stops_reading=*/true);
  const std::lock_guard<std::mutex> guard(mutex_);
  // Others remove files, too: Offer must not count on one that is gone.
  if (is_damaged || error == ENOENT) index_.Remove(key);
  counters_.damaged += is_damaged ? 1 : 0;
  ++(is_intact ? counters_.hits : counters_.misses);
  if (!is_intact) return {};
  // Of another process perhaps, since the last scan: there is nothing to write then.
  if (!index_.Touch(key, DiskNow())) {
    index_.Add({key, HexOf(fingerprint_), file.size(), DiskNow()}, parent);
  }
  if (touched_.size() < kMostTouched) touched_.push_back(key);
  changed_.notify_all();
  return file;
}

void DiskStore::Offer(const ChunkKey& parent, const ChunkKey& key, std::span<const Token> tokens,
                      FunctionRef<void(std::span<std::byte> file)> fill) {
  Write write{parent, key, 0};
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (index_.Touch(key, DiskNow())) {
      if (touched_.size() < kMostTouched) touched_.push_back(key);
      changed_.notify_all();
      return;
    }
    const auto is_same = [&](const Write& other) { return other.key == key; };
    if (!writes_ || std::ranges::any_of(queue_, is_same)) return;
    if (free_.empty()) {
      ++counters_.postponed;
      return;
    }
    write.buffer = free_.back();
    free_.pop_back();
  }
  const std::span<std::byte> file = FileOf(write.buffer);
  fill(file);
  // Checksums are the thread's work; the header's tokens travel in its place.
  std::memcpy(file.data(), tokens.data(), tokens.size_bytes());
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    queue_.push_back(write);
  }
  changed_.notify_all();
}

PromptStoreCounters DiskStore::counters() const {
  const std::lock_guard<std::mutex> guard(mutex_);
  PromptStoreCounters counters = counters_;
  counters.files = index_.files();
  counters.bytes = index_.bytes();
  return counters;
}

void DiskStore::Flush() {
  std::unique_lock<std::mutex> guard(mutex_);
  changed_.wait(guard, [&] { return queue_.empty() && touched_.empty() && !is_busy_; });
}

void DiskStore::StopWriting(int error, bool stops_reading) {
  const std::lock_guard<std::mutex> guard(mutex_);
  writes_ = false;
  if (stops_reading) reads_ = false;
  if (!counters_.warning.empty()) return;
  counters_.warning = path_ + ": " + std::strerror(error) + ": the prompt store " +
                      (reads_ ? "writes no more" : "is off") + "; answers do not depend on it";
}

// ------------------------------------------------------------------------------- the thread

void DiskStore::Run() {
  BlockSignals();
  folder_.RemoveTemporaries();
  Rescan();
  std::unique_lock<std::mutex> guard(mutex_);
  for (;;) {
    is_busy_ = false;
    changed_.notify_all();
    changed_.wait(guard, [&] { return !queue_.empty() || !touched_.empty() || is_ending_; });
    if (queue_.empty() && touched_.empty()) return;
    is_busy_ = true;
    if (queue_.empty()) {
      const std::vector<ChunkKey> touched = std::exchange(touched_, {});
      guard.unlock();
      for (const ChunkKey& key : touched) folder_.Touch(key);
      guard.lock();
      continue;
    }
    const Write write = queue_.front();
    guard.unlock();
    WriteFile(write);
    guard.lock();
    queue_.pop_front();
    free_.push_back(write.buffer);
  }
}

void DiskStore::WriteFile(const Write& write) {
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (!writes_ || index_.Contains(write.key)) return;
  }
  if (!MakeRoom(write.parent)) return;
  const std::span<std::byte> file = FileOf(write.buffer);
  std::array<Token, kChunkFileTokens> tokens;
  std::memcpy(tokens.data(), file.data(), sizeof(tokens));
  layout_.Seal({fingerprint_, write.parent, write.key, tokens}, file);
  const int error = folder_.Write(write.key, file);
  // Somebody removed the folder, or the unfinished file: the next use of the chunk tries again.
  if (error == ENOENT) return;
  if (error != 0) {
    StopWriting(error, /*stops_reading=*/error == EIO);
    return;
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  ++counters_.written;
  index_.Add({write.key, HexOf(fingerprint_), file.size(), DiskNow()}, write.parent);
}

bool DiskStore::MakeRoom(const ChunkKey& spared) {
  if (DiskNow() - scanned_ns_ > kRescan_ns) Rescan();
  const auto has_room = [&] {
    const std::lock_guard<std::mutex> guard(mutex_);
    return index_.bytes() + layout_.file_bytes() <= limit_;
  };
  if (has_room()) return true;
  FindParents();
  while (!has_room()) {
    std::optional<FoundChunk> oldest;
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      oldest = index_.OldestLeaf(spared);
    }
    if (!oldest) return false;
    const int error = folder_.Remove(oldest->fingerprint, oldest->key);
    if (error != 0 && error != ENOENT) {
      StopWriting(error, /*stops_reading=*/false);
      return false;
    }
    const std::lock_guard<std::mutex> guard(mutex_);
    index_.Remove(oldest->key);
    counters_.evicted += error == 0 ? 1 : 0;
  }
  return true;
}

void DiskStore::Rescan() {
  const std::vector<FoundChunk> found = folder_.Scan();
  scanned_ns_ = DiskNow();
  const std::lock_guard<std::mutex> guard(mutex_);
  index_.Replace(found);
}

void DiskStore::FindParents() {
  std::vector<FoundChunk> orphans;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    orphans = index_.Orphans();
  }
  for (const FoundChunk& orphan : orphans) {
    // What names no parent is damaged, or another version's: it stands on nothing.
    const ChunkKey parent = folder_.ReadParent(orphan).value_or(ChunkKey{});
    const std::lock_guard<std::mutex> guard(mutex_);
    index_.SetParent(orphan.key, parent);
  }
}

}  // namespace quantspec
