// The one exception type of the library. What it says is for the user: where, what was found,
// what was expected, what to do.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace quantspec {

enum class ErrorKind {
  kUsage,        // an option or an argument of a call is out of its range
  kIo,           // a file cannot be opened, read or written
  kCorrupt,      // a file's contents contradict themselves or its format
  kUnsupported,  // well-formed, but not something this build can run; the text says what is missing
  kMemory,       // it does not fit; the text says what would
  kBusy,         // it would fit later: a queue is full
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace quantspec
