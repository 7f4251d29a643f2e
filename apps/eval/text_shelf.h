// The texts of the data sets, kept while cells ask for them.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "eval/datasets.h"

namespace quantspec::eval {

class TextShelf {
 public:
  // `data`: "builtin" or a folder.
  explicit TextShelf(std::string data) : data_(std::move(data)) {}
  const std::string& data() const { return data_; }
  // The first `count` texts of a set or more, fewer if it has no more. Throws Error as LoadDataset
  // does.
  const std::vector<EvalText>& Get(const std::string& dataset, int count);

 private:
  struct Set {
    int asked = 0;
    std::vector<EvalText> texts;
  };
  std::string data_;
  std::map<std::string, Set> sets_;
};

}  // namespace quantspec::eval
