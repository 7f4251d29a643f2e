#include "cli/line_reader.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/documents.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "quantspec/error.h"

namespace quantspec::cli {

LineReader::Result LineReader::Read(std::string* line) {
  std::array<char, 4096> chunk;
  line->clear();
  Print(prompt_);
  for (size_t searched = 0;;) {
    const size_t end = held_.find('\n', searched);
    if (end != std::string::npos) {
      *line = held_.substr(0, end);
      held_.erase(0, end + 1);
      if (!line->empty() && line->back() == '\r') line->pop_back();
      return Result::kLine;
    }
    if (at_end_) {
      *line = std::exchange(held_, {});
      return line->empty() ? Result::kEnd : Result::kLine;
    }
    if (Interrupted()) return Result::kInterrupted;
    searched = held_.size();
    const ssize_t bytes = read(STDIN_FILENO, chunk.data(), chunk.size());
    if (bytes > 0) held_.append(chunk.data(), static_cast<size_t>(bytes));
    if (bytes == 0) at_end_ = true;
    if (bytes < 0 && errno != EINTR) {
      throw Error(ErrorKind::kIo,
                  std::string("standard input cannot be read: ") + std::strerror(errno));
    }
    if (held_.size() > kMaxDocumentBytes) {
      throw Error(ErrorKind::kUsage, "standard input: a line is longer than any context");
    }
  }
}

}  // namespace quantspec::cli
