// Lines typed on a terminal, with the keys, the wide characters and the history that people expect.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "cli/line_reader.h"

namespace quantspec::cli {

// One line editor at a time may live in a process. A pasted text is one line however many line
// feeds it has; Alt-Enter types one.
class LineEditor : public LineSource {
 public:
  // Of standard input and output, which are a terminal. `history` is oldest first. Throws
  // Error{kIo}.
  LineEditor(std::string prompt, const std::vector<std::string>& history);
  ~LineEditor() override;
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  Result Read(std::string* line) override;
  // What the arrow keys bring back first.
  void AddHistory(const std::string& line);

 private:
  struct Library;  // what belongs to libedit

  std::unique_ptr<Library> library_;
};

// Whether the terminal can do what an editor of lines needs.
bool TerminalCanEdit();

}  // namespace quantspec::cli
