// Strict JSON [rfc8259], read value by value: memory does not grow with the text, and whatever is
// wrong becomes an Error that names the file and the byte.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/error.h"

namespace quantspec {

enum class JsonKind : uint8_t { kObject, kArray, kString, kNumber, kTrue, kFalse, kNull };

// What a kind is called in messages: "an object".
std::string_view NameOf(JsonKind kind);

class JsonReader {
 public:
  static constexpr int kMostDepth = 128;

  // `file` begins messages. `text` must outlive the reader. Throws Error{kCorrupt} for text that is
  // not UTF-8; `first_byte` is where in the file the text begins.
  JsonReader(std::string_view text, std::string file, uint64_t first_byte = 0);

  // What is being read, for the messages of all that follows: "tensor" and its name, which must
  // stay until the next call; either may be empty.
  void SetSubject(std::string_view kind, std::string_view name = {}) {
    subject_ = kind;
    subject_name_ = name;
  }

  JsonKind Peek();  // of the value that comes next
  // Members in order: EnterObject, then NextKey until it is false; each key's value is to be read
  // or skipped before the next one.
  void EnterObject();
  bool NextKey(std::string_view* key);
  void EnterArray();
  bool NextElement();
  // Strings stay valid as long as the text and the reader's strings.
  std::string_view String();
  uint64_t Whole();  // a whole number without sign, fraction and exponent
  std::string_view Number();
  bool Bool();
  void Null();
  void Skip();
  // Nothing but white space follows.
  void Finish();

  // Unescaped strings; whoever keeps views of strings keeps this too.
  std::shared_ptr<const void> strings() const { return strings_; }
  uint64_t at() const { return first_byte_ + at_; }
  // Throws kCorrupt about the place that is read now.
  [[noreturn]] void Fail(std::string_view found, std::string_view expected) const;

 private:
  void CheckUtf8() const;
  void SkipSpace();
  void Expect(JsonKind kind);
  void Literal(std::string_view word);
  bool Next(char close, std::string_view expected);
  void Enter(char open);
  std::string_view Unescape(size_t begin, size_t end);
  void AppendEscape(size_t* at, std::string* out);
  uint32_t Hex4(size_t at);
  std::string Found() const;

  std::string_view text_;
  std::string file_;
  std::string_view subject_, subject_name_;
  uint64_t first_byte_;
  size_t at_ = 0;
  std::vector<bool> has_member_;  // of every open object and array
  struct Strings;
  std::shared_ptr<Strings> strings_;
};

}  // namespace quantspec
