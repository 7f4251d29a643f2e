#include "eval/cell_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

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

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

void WriteWhole(const std::string& path, std::string_view text) {
  const std::string temporary = path + "." + std::to_string(getpid()) + ".tmp";
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) RefuseFile(temporary, "created");
  try {
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

CellStore::CellStore(std::string folder) : folder_(std::move(folder)) {
  std::error_code error;
  std::filesystem::create_directories(folder_ + "/cells", error);
  if (error) {
    throw Error(ErrorKind::kIo, folder_ + ": cannot be made (" + error.message() +
                                    "); --out needs a folder that can be written to");
  }
}

void CellStore::WritePlan(const std::vector<Cell>& plan) const {
  std::string text;
  for (const Cell& cell : plan) text += CellJson(cell).dump() + "\n";
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
  WriteWhole(PathOf(cell), json.dump(1) + "\n");
}

}  // namespace quantspec::eval
