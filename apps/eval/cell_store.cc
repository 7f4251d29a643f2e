#include "eval/cell_store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

constexpr const char* kTemporary = ".tmp";  // how names of unfinished files end

[[noreturn]] void RefuseFile(const std::string& path, const std::string& what) {
  throw Error(ErrorKind::kIo, path + ": cannot be " + what + " (" + std::strerror(errno) +
                                  "); --out needs a folder that can be written to");
}

void WriteAll(int file, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) RefuseFile(path, "written");
    text.remove_prefix(static_cast<size_t>(written));
  }
}

// Makes the name of a new file in `folder` survive a crash.
void SyncFolder(const std::string& folder) {
  const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (directory < 0) return;
  fsync(directory);
  close(directory);
}

std::string HostName() {
  char name[256] = "host";
  gethostname(name, sizeof(name) - 1);
  std::string safe(name);
  std::replace(safe.begin(), safe.end(), '/', '-');
  return safe;
}

// Removes the temporary files of processes that were killed: those older than a day.
void RemoveLeftovers(const std::string& folder) {
  namespace fs = std::filesystem;
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(24);
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() != kTemporary) continue;
    std::error_code gone;  // another process may be first
    if (fs::last_write_time(entry->path(), gone) < old && !gone) fs::remove(entry->path(), gone);
  }
}

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

void WriteWhole(const std::string& path, std::string_view text) {
  // A name that no process of any machine on a shared folder has.
  std::string temporary = path + "." + HostName() + ".XXXXXX" + kTemporary;
  const int file = mkstemps(temporary.data(), static_cast<int>(std::strlen(kTemporary)));
  if (file < 0) RefuseFile(temporary, "created");
  try {
    if (fchmod(file, 0644) != 0) RefuseFile(temporary, "created");
    WriteAll(file, text, temporary);
    if (fsync(file) != 0) RefuseFile(temporary, "written");
  } catch (...) {
    close(file);
    unlink(temporary.c_str());
    throw;
  }
  close(file);
  if (rename(temporary.c_str(), path.c_str()) != 0) RefuseFile(path, "replaced");
  SyncFolder(std::filesystem::path(path).parent_path().string());
}

CellStore::CellStore(std::string folder, OpenStore open) : folder_(std::move(folder)) {
  if (open == OpenStore::kToRead) {
    std::error_code error;
    if (std::filesystem::is_directory(folder_, error)) return;
    throw Error(ErrorKind::kIo, folder_ +
                                    ": is no folder; --out needs one that quantspec eval has "
                                    "written to");
  }
  std::error_code error;
  std::filesystem::create_directories(folder_ + "/cells", error);
  if (error) {
    throw Error(ErrorKind::kIo, folder_ + ": cannot be made (" + error.message() +
                                    "); --out needs a folder that can be written to");
  }
  RemoveLeftovers(folder_);
  RemoveLeftovers(folder_ + "/cells");
}

void CellStore::WritePlan(const std::vector<Cell>& plan) const {
  std::string text;
  for (const Cell& cell : plan) text += Dump(CellJson(cell), -1) + "\n";
  WriteWhole(folder_ + "/plan.jsonl", text);
}

std::vector<Cell> CellStore::ReadPlan() const {
  const std::string path = folder_ + "/plan.jsonl";
  const std::optional<std::string> text = ReadFile(path);
  if (!text) {
    throw Error(ErrorKind::kIo,
                path + ": is not there; run quantspec eval with --out " + folder_ + " first");
  }
  std::vector<Cell> plan;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const std::string where = path + ":" + std::to_string(plan.size() + 1);
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    plan.push_back(ParseCell(json.is_object() ? json : Json::object(), where));
  }
  return plan;
}

std::string CellStore::PathOf(const Cell& cell) const {
  return folder_ + "/cells/" + CellId(cell) + ".json";
}

std::optional<Json> CellStore::Read(const Cell& cell, std::string* damage) const {
  const std::string path = PathOf(cell);
  const std::optional<std::string> text = ReadFile(path);
  if (!text) return std::nullopt;
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  std::string fault;
  if (!json.is_object() || !json.contains("result") || !json.contains("checksum")) {
    fault = "is cut off or no cell";
  } else if (json.value("checksum", Json()) != Checksum(json["result"])) {
    fault = "has a wrong checksum";
  } else if (json.value("id", Json()) != CellId(cell)) {
    fault = "belongs to another cell";
  } else {
    return json["result"];
  }
  if (damage != nullptr) *damage = path + " " + fault;
  return std::nullopt;
}

void CellStore::Write(const Cell& cell, const Json& result) const {
  Json json = CellJson(cell);
  json["checksum"] = Checksum(result);
  json["result"] = result;
  WriteWhole(PathOf(cell), Dump(json, 1) + "\n");
}

}  // namespace quantspec::eval
