#include "engine/disk_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <utility>

#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr std::string_view kEnding = ".qsg";
constexpr std::string_view kTemporary = "writing-";
constexpr char kLockName[] = "lock";
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;

std::string NameOf(const ChunkKey& key) { return HexOf(key) + std::string(kEnding); }
std::string LettersOf(const ChunkKey& key) { return HexOf(std::span(key).first(1)); }

int DigitOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::optional<ChunkKey> KeyOf(std::string_view digits) {
  ChunkKey key;
  if (digits.size() != 2 * key.size()) return std::nullopt;
  for (size_t i = 0; i < key.size(); ++i) {
    const int high = DigitOf(digits[2 * i]), low = DigitOf(digits[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    key[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return key;
}

std::vector<std::string> NamesIn(int folder) {
  std::vector<std::string> names;
  const int copy = openat(folder, ".", kFolderFlags);
  if (copy < 0) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> list(fdopendir(copy), closedir);
  if (list == nullptr) {
    close(copy);
    return names;
  }
  while (const dirent* entry = readdir(list.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  return names;
}

// Times of access and change. The system's own stamps are no finer than its clock's ticks.
std::array<timespec, 2> Now() {
  constexpr int64_t kSecond_ns = 1000000000;
  const int64_t now = DiskNow();
  const timespec time = {static_cast<time_t>(now / kSecond_ns),
                         static_cast<long>(now % kSecond_ns)};
  return {time, time};
}

// A name that no other writer uses, on this machine or another one that shares the folder.
std::string TemporaryName() {
  static const uint64_t process = (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  static std::atomic<uint64_t> count{0};
  return std::string(kTemporary) + std::to_string(process) + "-" + std::to_string(getpid()) + "-" +
         std::to_string(count++);
}

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) close(value_);
}
Descriptor::Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(value_, other.value_);
  return *this;
}

int64_t DiskNow() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

DiskFolder::DiskFolder(const std::string& path, const Sha256Hash& fingerprint,
                       const DiskCalls& calls)
    : own_(HexOf(fingerprint)), calls_(calls) {
  if (calls_.read == nullptr) calls_.read = pread;
  if (calls_.write == nullptr) calls_.write = write;
  const int made = mkdir(path.c_str(), kFolderMode) == 0 || errno == EEXIST ? 0 : errno;
  root_ = Descriptor(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root_.is_open()) {
    error_ = made != 0 ? made : errno;
    if (error_ == EROFS || error_ == EACCES || error_ == ENOSPC || error_ == EIO) return;
    throw Error(ErrorKind::kIo, path + ": cannot be a prompt store: " + std::strerror(error_) +
                                    "; name a folder, or a new one in a folder that is there");
  }
  lock_ = Descriptor(
      openat(root_.get(), kLockName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!lock_.is_open()) error_ = errno;
}

Descriptor DiskFolder::OpenFolder(const std::string& fingerprint, const ChunkKey& key,
                                  bool make_it) const {
  if (!root_.is_open()) {
    errno = ENOENT;
    return {};
  }
  const std::string letters = LettersOf(key);
  if (make_it) mkdirat(root_.get(), fingerprint.c_str(), kFolderMode);
  const Descriptor outer(openat(root_.get(), fingerprint.c_str(), kFolderFlags));
  if (!outer.is_open()) return {};
  if (make_it) mkdirat(outer.get(), letters.c_str(), kFolderMode);
  return Descriptor(openat(outer.get(), letters.c_str(), kFolderFlags));
}

Descriptor DiskFolder::OpenFile(const std::string& fingerprint, const ChunkKey& key) const {
  const Descriptor folder = OpenFolder(fingerprint, key, /*make_it=*/false);
  if (!folder.is_open()) return {};
  // Not blocking: a pipe of that name must not stop the engine.
  return Descriptor(
      openat(folder.get(), NameOf(key).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
}

int DiskFolder::Read(const ChunkKey& key, std::span<std::byte> out) const {
  const Descriptor file = OpenFile(own_, key);
  if (!file.is_open()) return errno;
  struct stat info;
  if (fstat(file.get(), &info) != 0) return errno;
  if (!S_ISREG(info.st_mode) || static_cast<uint64_t>(info.st_size) != out.size()) return EBADMSG;
  for (size_t done = 0; done < out.size();) {
    const ssize_t count =
        calls_.read(file.get(), out.data() + done, out.size() - done, static_cast<off_t>(done));
    if (count == 0) return EBADMSG;
    if (count < 0 && errno != EINTR) return errno;
    done += count > 0 ? static_cast<size_t>(count) : 0;
  }
  return 0;
}

int DiskFolder::Write(const ChunkKey& key, std::span<const std::byte> file) {
  if (error_ != 0) return error_;
  const Descriptor folder = OpenFolder(own_, key, /*make_it=*/true);
  if (!folder.is_open()) return errno;
  const std::string temporary = TemporaryName();
  Descriptor out(openat(folder.get(), temporary.c_str(),
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!out.is_open()) return errno;
  int error = 0;
  for (size_t done = 0; done < file.size() && error == 0;) {
    const ssize_t count = calls_.write(out.get(), file.data() + done, file.size() - done);
    if (count < 0 && errno != EINTR) error = errno;
    if (count == 0) error = ENOSPC;
    done += count > 0 ? static_cast<size_t>(count) : 0;
  }
  if (error == 0) futimens(out.get(), Now().data());
  out = {};
  if (error == 0 &&
      renameat(folder.get(), temporary.c_str(), folder.get(), NameOf(key).c_str()) != 0) {
    error = errno;
  }
  if (error != 0) unlinkat(folder.get(), temporary.c_str(), 0);
  return error;
}

int DiskFolder::Remove(const std::string& fingerprint, const ChunkKey& key) {
  const Descriptor folder = OpenFolder(fingerprint, key, /*make_it=*/false);
  if (!folder.is_open()) return errno;
  return unlinkat(folder.get(), NameOf(key).c_str(), 0) == 0 ? 0 : errno;
}

void DiskFolder::Touch(const ChunkKey& key) const {
  const Descriptor folder = OpenFolder(own_, key, /*make_it=*/false);
  if (!folder.is_open()) return;
  utimensat(folder.get(), NameOf(key).c_str(), Now().data(), AT_SYMLINK_NOFOLLOW);
}

template <typename Visit>
void DiskFolder::ForEachFile(const Visit& visit) const {
  if (!root_.is_open()) return;
  for (const std::string& fingerprint : NamesIn(root_.get())) {
    if (!KeyOf(fingerprint)) continue;  // not ours
    const Descriptor outer(openat(root_.get(), fingerprint.c_str(), kFolderFlags));
    if (!outer.is_open()) continue;
    for (const std::string& letters : NamesIn(outer.get())) {
      const Descriptor folder(openat(outer.get(), letters.c_str(), kFolderFlags));
      if (!folder.is_open()) continue;
      for (const std::string& name : NamesIn(folder.get())) {
        visit(folder.get(), fingerprint, letters, name);
      }
    }
  }
}

std::vector<FoundChunk> DiskFolder::Scan() const {
  std::vector<FoundChunk> found;
  ForEachFile([&](int folder, const std::string& fingerprint, const std::string& letters,
                  const std::string& name) {
    if (!name.ends_with(kEnding)) return;
    const auto key = KeyOf(std::string_view(name).substr(0, name.size() - kEnding.size()));
    if (!key || LettersOf(*key) != letters) return;
    struct stat info;
    if (fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (!S_ISREG(info.st_mode)) return;
    found.push_back({*key, fingerprint, static_cast<uint64_t>(info.st_size),
                     info.st_mtim.tv_sec * int64_t{1000000000} + info.st_mtim.tv_nsec});
  });
  return found;
}

std::optional<ChunkKey> DiskFolder::ReadParent(const FoundChunk& found) const {
  const Descriptor file = OpenFile(found.fingerprint, found.key);
  std::array<std::byte, kChunkHeaderBytes> header;
  if (!file.is_open() ||
      calls_.read(file.get(), header.data(), header.size(), 0) != ssize_t{kChunkHeaderBytes}) {
    return std::nullopt;
  }
  return ParentInHeader(header);
}

void DiskFolder::RemoveTemporaries() {
  if (!lock_.is_open()) return;
  // Every process that uses the folder holds the lock shared: alone, all temporaries are leftovers.
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) {
    ForEachFile([](int folder, const std::string&, const std::string&, const std::string& name) {
      if (name.starts_with(kTemporary)) unlinkat(folder, name.c_str(), 0);
    });
  }
  flock(lock_.get(), LOCK_SH | LOCK_NB);
}

}  // namespace quantspec
