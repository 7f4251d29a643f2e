// Lines of standard input that Ctrl-C can interrupt.
#pragma once

#include <string>

namespace quantspec::cli {

class LineReader {
 public:
  enum class Result { kLine, kEnd, kInterrupted };
  // The next line without its end; a last line may lack one. Throws Error{kIo}.
  Result Read(std::string* line);

 private:
  std::string held_;  // read, but not asked for yet
  bool at_end_ = false;
};

}  // namespace quantspec::cli
