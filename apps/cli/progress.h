// A line on a terminal's standard error that says how far loading or reading is.
#pragma once

#include <chrono>
#include <string>

namespace quantspec::cli {

// "prefill 45 %, 1,234 tokens/s, 3 s left" for `share` of `tokens` done after `seconds`; without
// tokens the speed is left out.
std::string ProgressText(const std::string& what, double share, int tokens, double seconds);

// Shows nothing if standard error is no terminal or `quiet`. Erases its line at the end.
class ProgressLine {
 public:
  ProgressLine(std::string what, int tokens, bool quiet);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Returns false once Ctrl-C was pressed, as the callbacks of the library want it.
  bool Update(double share);

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  int tokens_;
  bool visible_;
  bool shown_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

}  // namespace quantspec::cli
