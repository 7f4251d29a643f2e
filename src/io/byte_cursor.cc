#include "io/byte_cursor.h"

#include <algorithm>
#include <bit>

namespace quantspec {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read as they are");

constexpr std::string_view kDamaged = "; the file is damaged or incomplete: fetch it again";

std::string Place(size_t at, std::string_view what) {
  std::string place(what);
  return place + " at byte " + std::to_string(at);
}

}  // namespace

std::string Printable(std::string_view text) {
  constexpr size_t kShown = 64;
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string printable;
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7E) {
      printable += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      printable += c;
    }
  }
  return text.size() > kShown ? printable + "..." : printable;
}

std::span<const std::byte> ByteCursor::Take(uint64_t count, std::string_view what) {
  if (count > left()) {
    FailAt(at_, what, std::to_string(left()) + " bytes up to the end of the file",
           std::to_string(count));
  }
  Expect(count);
  const auto taken = bytes_.subspan(at_, static_cast<size_t>(count));
  at_ += taken.size();
  return taken;
}

std::string_view ByteCursor::ReadString(std::string_view what) {
  const size_t start = at_;
  const uint64_t length = Read<uint64_t>(what);
  if (length > left()) {
    FailAt(start, what, "a text of " + std::to_string(length) + " bytes",
           "at most the " + std::to_string(left()) + " up to the end of the file");
  }
  const auto text = Take(length, what);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

uint64_t ByteCursor::ReadCount(std::string_view what, uint64_t item_bytes) {
  const size_t start = at_;
  const uint64_t count = Read<uint64_t>(what);
  const uint64_t most = left() / item_bytes;
  if (count > most) {
    FailAt(start, what, std::to_string(count),
           "at most " + std::to_string(most) + ", which the rest of the file can hold");
  }
  Expect(count * item_bytes);
  return count;
}

void ByteCursor::Align(uint64_t alignment) {
  const uint64_t over = at_ % alignment;
  if (over == 0) return;
  const auto skipped = std::min<uint64_t>(left(), alignment - over);
  Expect(skipped);
  at_ += static_cast<size_t>(skipped);
}

std::string ByteCursor::Message(std::string_view place, std::string_view found,
                                std::string_view expected) const {
  std::string text = file_ + ": " + subject_;
  if (!subject_.empty() && !place.empty()) text += ", ";
  text.append(place).append(": found ").append(found).append(", expected ").append(expected);
  return text;
}

void ByteCursor::FailAt(size_t at, std::string_view what, std::string_view found,
                        std::string_view expected) const {
  throw Error(ErrorKind::kCorrupt, Message(Place(at, what), found, expected).append(kDamaged));
}

void ByteCursor::Fail(std::string_view found, std::string_view expected) const {
  throw Error(ErrorKind::kCorrupt, Message({}, found, expected).append(kDamaged));
}

void ByteCursor::FailUnsupported(size_t at, std::string_view what, std::string_view found,
                                 std::string_view expected, std::string_view advice) const {
  throw Error(ErrorKind::kUnsupported,
              Message(Place(at, what), found, expected).append("; ").append(advice));
}

}  // namespace quantspec
