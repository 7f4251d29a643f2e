// Computes one cell, whatever its experiment.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "eval/cell.h"
#include "eval/datasets.h"
#include "eval/engines.h"
#include "eval/run_decoding.h"

namespace quantspec::eval {

// Texts of the data sets, each set read once. Throws Error{kIo} for what is not there.
class TextShelf {
 public:
  // `data`: "builtin" or a folder. `examples`: the most texts of a set that any cell asks for.
  TextShelf(std::string data, int examples) : data_(std::move(data)), examples_(examples) {}
  const std::string& data() const { return data_; }
  const std::vector<EvalText>& Get(const std::string& dataset);

 private:
  std::string data_;
  int examples_;
  std::map<std::string, std::vector<EvalText>> sets_;
};

// What the cell's file is to hold; {skipped} where no text is long enough. Throws Error, and
// cli::Cancelled if `on_share` stopped it.
Json RunCell(const Cell& cell, Engines& engines, TextShelf& texts, const OnShare& on_share);

}  // namespace quantspec::eval
