// The texts of apps/eval/texts, compiled into the program; texts/README.md says where they are
// from.
#pragma once

#include <string_view>
#include <vector>

namespace quantspec::eval {

struct BuiltinText {
  std::string_view name;  // of the file, without ".txt"
  std::string_view text;
};

// In the order of their names.
const std::vector<BuiltinText>& BuiltinTexts();

}  // namespace quantspec::eval
