#include "formats/whole_file.h"

#include <cstddef>
#include <span>

#include "base/input_file.h"
#include "quantspec/error.h"

namespace quantspec {

std::string ReadWholeFile(const std::string& path, uint64_t most) {
  const InputFile file(path);
  if (file.size() > most) {
    throw Error(ErrorKind::kCorrupt, path + ": found " + std::to_string(file.size()) +
                                         " bytes, expected at most " + std::to_string(most) +
                                         "; this is not the file that its name says: fetch it "
                                         "again");
  }
  std::string text(static_cast<size_t>(file.size()), '\0');
  file.Read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace quantspec
