// Signals as something that can be waited for together with input.
#pragma once

#include <signal.h>

#include <array>

namespace quantspec::cli {

// While it lives, the terminal's signals (SIGINT, SIGTSTP, SIGCONT, SIGWINCH, SIGHUP, SIGTERM) do
// nothing but arrive here. One at a time in a process.
class SignalPipe {
 public:
  // Throws Error{kIo} if the system has no pipe left.
  SignalPipe();
  ~SignalPipe();
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;

  // Waits until `file` has something to read (returns 0, also at its end) or a signal arrives
  // (returns its number).
  int Wait(int file) const;
  // Does what `signal` does by default: stops the process until it is told to go on, or ends it.
  void Obey(int signal);

 private:
  static constexpr std::array kSignals = {SIGINT, SIGTSTP, SIGCONT, SIGWINCH, SIGHUP, SIGTERM};
  void Catch();
  void Restore() const;

  int read_end_ = -1;
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace quantspec::cli
