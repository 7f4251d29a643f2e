#include "cli/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "cli/interrupt.h"
#include "cli/output.h"

namespace quantspec::cli {

std::string ProgressText(const std::string& what, double share, int tokens, double seconds) {
  share = std::clamp(share, 0.0, 1.0);
  std::string text = what + " " + std::to_string(static_cast<int>(share * 100)) + " %";
  if (share <= 0 || seconds <= 0) return text;
  if (tokens > 0) text += ", " + ShowCount(share * tokens / seconds) + " tokens/s";
  return text + ", " + ShowCount(std::ceil(seconds / share * (1 - share))) + " s left";
}

ProgressLine::ProgressLine(std::string what, int tokens, bool quiet)
    : what_(std::move(what)), tokens_(tokens), visible_(!quiet && StderrIsTerminal()) {}

ProgressLine::~ProgressLine() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
}

bool ProgressLine::Update(double share) {
  const Clock::time_point now = Clock::now();
  if (visible_ && now - last_ >= std::chrono::milliseconds(100)) {
    last_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    std::fprintf(stderr, "\r%s\x1b[K", ProgressText(what_, share, tokens_, seconds).c_str());
    std::fflush(stderr);
    shown_ = true;
  }
  return !Interrupted();
}

}  // namespace quantspec::cli
