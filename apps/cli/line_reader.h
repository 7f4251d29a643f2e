// Lines of standard input that Ctrl-C can interrupt.
#pragma once

#include <string>
#include <utility>

namespace quantspec::cli {

class LineSource {
 public:
  enum class Result { kLine, kEnd, kInterrupted };
  virtual ~LineSource() = default;
  // The next line without its end; with kInterrupted, what was typed of it. Throws Error{kIo}.
  virtual Result Read(std::string* line) = 0;
};

// Plain lines, the last of which may lack its end.
class LineReader : public LineSource {
 public:
  // `prompt` is printed in front of every line.
  explicit LineReader(std::string prompt) : prompt_(std::move(prompt)) {}
  Result Read(std::string* line) override;

 private:
  std::string prompt_;
  std::string held_;  // read, but not asked for yet
  bool at_end_ = false;
};

}  // namespace quantspec::cli
