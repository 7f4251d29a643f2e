// Finds stop texts in text that arrives in pieces, and holds back what may become one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quantspec::cli {

class StopText {
 public:
  // Empty texts are not allowed.
  explicit StopText(std::vector<std::string> stops);

  // The text that may be shown after `piece`. Once found() is true it ends before the first stop
  // text, and later calls give nothing.
  std::string Push(std::string_view piece);
  // What was held back.
  std::string Finish();
  bool found() const { return found_; }
  // The stop text that was found first, "" before.
  const std::string& which() const { return which_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::string which_;
  bool found_ = false;
};

}  // namespace quantspec::cli
