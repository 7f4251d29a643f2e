#include "cli/documents.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "quantspec/error.h"

namespace quantspec::cli {
namespace {

// Closes what it opened, but never standard input.
class InputFile {
 public:
  explicit InputFile(const std::string& path)
      : descriptor_(path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~InputFile() {
    if (descriptor_ > STDIN_FILENO) close(descriptor_);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

[[noreturn]] void FailToRead(const std::string& name) {
  throw Error(ErrorKind::kIo, name + ": cannot be read: " + std::strerror(errno));
}

}  // namespace

size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size) return 0;
  uint8_t low = 0x80, high = 0xBF;  // of the second byte: no overlong forms, no surrogates
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t at = 2; at < size; ++at) {
    if (byte(at) < 0x80 || byte(at) > 0xBF) return 0;
  }
  return size;
}

Document ReadDocument(const std::string& path) {
  Document document;
  document.name = path == "-" ? "standard input" : path;
  const InputFile file(path);
  if (file.descriptor() < 0) {
    throw Error(ErrorKind::kIo, path + ": cannot be opened: " + std::strerror(errno));
  }
  std::vector<char> chunk(size_t{1} << 18);
  for (;;) {
    const ssize_t bytes = read(file.descriptor(), chunk.data(), chunk.size());
    if (bytes < 0) FailToRead(document.name);
    if (bytes == 0) return document;
    document.text.append(chunk.data(), static_cast<size_t>(bytes));
    if (document.text.size() > kMaxDocumentBytes) {
      throw Error(ErrorKind::kUsage, document.name + ": has more than " +
                                         std::to_string(kMaxDocumentBytes >> 20) +
                                         " MiB, far more than any context holds; use a part of it");
    }
  }
}

Utf8Faults FindUtf8Faults(std::string_view text) {
  Utf8Faults faults;
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = CharacterBytes(text.substr(at));
    if (bytes == 0 && faults.count++ == 0) faults.first = at;
    at += bytes == 0 ? 1 : bytes;
  }
  return faults;
}

std::optional<std::string> CheckText(const Document& document) {
  const size_t nul = document.text.find('\0');
  if (nul != std::string::npos) {
    throw Error(ErrorKind::kUnsupported,
                document.name + ": byte " + std::to_string(nul) +
                    " is NUL, so this is binary data; expected text in UTF-8, convert it first");
  }
  const Utf8Faults faults = FindUtf8Faults(document.text);
  if (faults.count == 0) return std::nullopt;
  const std::string found = document.name + ": " + std::to_string(faults.count) +
                            (faults.count == 1 ? " byte is" : " bytes are") +
                            " not valid UTF-8, the first at byte " + std::to_string(faults.first);
  if (faults.count > document.text.size() / 10) {
    throw Error(ErrorKind::kUnsupported,
                found + ", so this is not text in UTF-8; convert it first, e.g. with iconv");
  }
  return found + "; passed on as they are";
}

std::string JoinTexts(std::span<const Document> documents, std::string_view prompt, Join join) {
  std::string text;
  const auto append = [&](std::string_view part) {
    if (join == Join::kParagraphs && !text.empty() && !part.empty()) {
      text += text.back() == '\n' ? "\n" : "\n\n";
    }
    text += part;
  };
  for (const Document& document : documents) append(document.text);
  append(prompt);
  return text;
}

}  // namespace quantspec::cli
