// Reads a file's bytes in order. Whatever cannot be read becomes an Error that says where, what was
// found and what was expected; no read ever leaves the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "quantspec/error.h"

namespace quantspec {

// `text` for a message: unprintable bytes as \xNN, at most 64 bytes of it.
std::string Printable(std::string_view text);

class ByteCursor {
 public:
  // `bytes` must outlive the cursor and every view that it returns.
  ByteCursor(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  // What is being read, for the messages of all that follows: "tensor output.weight".
  void SetSubject(std::string subject) { subject_ = std::move(subject); }

  // A little-endian number. `what` names it in messages, as in the functions below.
  template <typename T>
  T Read(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, Take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  // The next `count` bytes.
  std::span<const std::byte> Take(uint64_t count, std::string_view what);

  // A text after its length in 64 bits.
  std::string_view ReadString(std::string_view what);

  // A 64-bit count of items that take at least `item_bytes` each in the rest of the file.
  uint64_t ReadCount(std::string_view what, uint64_t item_bytes);

  // Moves on to a multiple of `alignment`, at most to the end.
  void Align(uint64_t alignment);

  // Throws kCorrupt about `what` of the subject, which stands at byte `at`.
  [[noreturn]] void FailAt(size_t at, std::string_view what, std::string_view found,
                           std::string_view expected) const;
  // The same without a place, for what is known only once all is read.
  [[noreturn]] void Fail(std::string_view found, std::string_view expected) const;
  // Throws kUnsupported: well-formed, but nothing that this build can use. `advice`: what to do.
  [[noreturn]] void FailUnsupported(size_t at, std::string_view what, std::string_view found,
                                    std::string_view expected, std::string_view advice) const;

 private:
  std::string Message(std::string_view place, std::string_view found,
                      std::string_view expected) const;

  std::span<const std::byte> bytes_;
  std::string file_;
  std::string subject_;
  size_t at_ = 0;
};

}  // namespace quantspec
