// The folder of a comparison: its plan, its finished cells, its report.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/cell.h"

namespace quantspec::eval {

// Replaces the file at `path` as a whole: whatever ends the program, the old contents or the new
// ones are there. Throws Error{kIo}.
void WriteWhole(const std::string& path, std::string_view text);

enum class OpenStore {
  kToWrite,  // makes the folder if it is not there, and clears what killed processes left
  kToRead,   // of what is there
};

class CellStore {
 public:
  // Throws Error{kIo}.
  explicit CellStore(std::string folder, OpenStore open = OpenStore::kToWrite);

  const std::string& folder() const { return folder_; }
  void WritePlan(const std::vector<Cell>& plan) const;
  // Throws Error: kIo if no run has left a plan, kCorrupt, kUnsupported for another version's.
  std::vector<Cell> ReadPlan() const;

  // What Write stored for this cell, or nothing. A damaged file counts as none, and `damage` (if
  // not null) says what is wrong with it.
  std::optional<Json> Read(const Cell& cell, std::string* damage) const;
  void Write(const Cell& cell, const Json& result) const;

 private:
  std::string PathOf(const Cell& cell) const;

  std::string folder_;
};

}  // namespace quantspec::eval
