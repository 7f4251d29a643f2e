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

// Thrown where the file goes on behind the bytes at hand.
struct NeedsMoreBytes {};

class ByteCursor {
 public:
  // Over the beginning of a file of `file_bytes`: where more of it is needed, NeedsMoreBytes is
  // thrown. `bytes` must outlive the cursor and every view that it returns.
  ByteCursor(std::span<const std::byte> bytes, uint64_t file_bytes, std::string file)
      : bytes_(bytes), file_bytes_(file_bytes), file_(std::move(file)) {}
  ByteCursor(std::span<const std::byte> bytes, std::string file)
      : ByteCursor(bytes, bytes.size(), std::move(file)) {}

  size_t at() const { return at_; }
  size_t left() const { return static_cast<size_t>(file_bytes_) - at_; }  // in the file

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

  // `count` bytes are in the file; throws NeedsMoreBytes if they are not in `bytes_`.
  void Expect(uint64_t count) const {
    if (count > bytes_.size() - at_) throw NeedsMoreBytes{};
  }

  std::span<const std::byte> bytes_;
  uint64_t file_bytes_;
  std::string file_;
  std::string subject_;
  size_t at_ = 0;
};

}  // namespace quantspec
