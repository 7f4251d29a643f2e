#include "cli/signal_pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "quantspec/error.h"

namespace quantspec::cli {
namespace {

volatile sig_atomic_t write_end = -1;

void OnSignal(int signal) {
  const int error = errno;
  const auto number = static_cast<unsigned char>(signal);
  // A full pipe has enough to wake the reader.
  [[maybe_unused]] const ssize_t written = write(write_end, &number, 1);
  errno = error;
}

}  // namespace

SignalPipe::SignalPipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    throw Error(ErrorKind::kIo,
                std::string("the terminal cannot be watched: ") + std::strerror(errno));
  }
  read_end_ = ends[0];
  write_end = ends[1];
  Catch();
}

SignalPipe::~SignalPipe() {
  Restore();
  close(write_end);
  write_end = -1;
  close(read_end_);
}

void SignalPipe::Catch() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before_[i]);
}

void SignalPipe::Restore() const {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

int SignalPipe::Wait(int file) const {
  pollfd watched[] = {{file, POLLIN, 0}, {read_end_, POLLIN, 0}};
  for (;;) {
    if (poll(watched, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return 0;
    }
    unsigned char signal = 0;
    if (watched[1].revents != 0 && read(read_end_, &signal, 1) == 1) return signal;
    if (watched[0].revents != 0) return 0;
  }
}

void SignalPipe::Obey(int signal) {
  Restore();
  struct sigaction action = {}, before = {};
  action.sa_handler = SIG_DFL;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, &before);
  raise(signal);
  sigaction(signal, &before, nullptr);
  Catch();
}

}  // namespace quantspec::cli
