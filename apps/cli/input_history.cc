#include "cli/input_history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

namespace quantspec::cli {
namespace {

namespace fs = std::filesystem;

std::string Escape(std::string_view entry) {
  std::string line;
  for (const char c : entry) {
    if (c == '\\') {
      line += "\\\\";
    } else if (c == '\n') {
      line += "\\n";
    } else if (c == '\r') {
      line += "\\r";
    } else {
      line += c;
    }
  }
  return line;
}

std::string Unescape(std::string_view line) {
  std::string entry;
  for (size_t at = 0; at < line.size(); ++at) {
    if (line[at] != '\\' || at + 1 == line.size()) {
      entry += line[at];
      continue;
    }
    const char next = line[++at];
    entry += next == 'n' ? '\n' : next == 'r' ? '\r' : next;
  }
  return entry;
}

bool WriteAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

std::string DefaultHistoryPath() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') return std::string(state) + "/quantspec/chat-history";
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return "";
  return std::string(home) + "/.local/state/quantspec/chat-history";
}

InputHistory::InputHistory(std::string path) : path_(std::move(path)) {
  if (!path_.empty()) Load();
}

void InputHistory::Load() {
  std::error_code ignored;
  if (!fs::exists(path_, ignored)) return;
  std::ifstream file(path_, std::ios::binary);
  size_t lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    if (line.empty() || line.size() > 2 * kMostBytes) continue;
    entries_.push_back(Unescape(line));
    if (entries_.size() >= 2 * kMost) entries_.erase(entries_.begin(), entries_.end() - kMost);
  }
  if (!file.eof()) problem_ = path_ + ": the history cannot be read: " + std::strerror(errno);
  if (entries_.size() > kMost) entries_.erase(entries_.begin(), entries_.end() - kMost);
  if (problem_.empty() && lines > 2 * kMost) Shorten();
}

void InputHistory::Shorten() const {
  const std::string part = path_ + ".new";
  const int file = open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return;  // another program is about it
  std::string text;
  for (const std::string& entry : entries_) text += Escape(entry) + "\n";
  const bool is_whole = WriteAll(file, text);
  close(file);
  std::error_code ignored;
  if (is_whole) fs::rename(part, path_, ignored);
  fs::remove(part, ignored);
}

bool InputHistory::Add(std::string_view entry) {
  if (path_.empty() || entry.empty() || entry.size() > kMostBytes) return true;
  if (!entries_.empty() && entries_.back() == entry) return true;
  entries_.emplace_back(entry);
  return Append(Escape(entry) + "\n");
}

bool InputHistory::Append(const std::string& line) {
  std::error_code ignored;
  const fs::path folder = fs::path(path_).parent_path();
  if (!folder.empty() && !fs::exists(folder, ignored)) {
    fs::create_directories(folder, ignored);
    fs::permissions(folder, fs::perms::owner_all, ignored);
  }
  const int file = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  bool is_done = file >= 0 && fchmod(file, 0600) == 0;
  is_done = is_done && WriteAll(file, line);
  if (!is_done) problem_ = path_ + ": the history cannot be written: " + std::strerror(errno);
  if (file >= 0) close(file);
  return is_done;
}

}  // namespace quantspec::cli
