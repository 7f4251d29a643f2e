// What was typed into conversations, kept in a file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quantspec::cli {

// "$XDG_STATE_HOME/quantspec/chat-history", by default under ~/.local/state; "" without a home.
std::string DefaultHistoryPath();

// One entry a line of the file, which only its user can read; in it a backslash is written "\\", a
// line feed "\n" and a carriage return "\r". Programs may add to it at the same time.
class InputHistory {
 public:
  static constexpr size_t kMost = 1000;
  static constexpr size_t kMostBytes = 65536;  // of an entry; longer ones are not kept

  // An empty path keeps nothing. What cannot be read is an empty history; problem() says why.
  explicit InputHistory(std::string path);

  const std::vector<std::string>& entries() const {
    return entries_;
  }  // the newest kMost, in order
  // Not if it is empty or what the last one was. Returns false if the file cannot be written.
  bool Add(std::string_view entry);
  const std::string& problem() const { return problem_; }  // empty if there is none

 private:
  void Load();
  bool Append(const std::string& line);
  void Shorten() const;

  std::string path_;
  std::vector<std::string> entries_;
  std::string problem_;
};

}  // namespace quantspec::cli
