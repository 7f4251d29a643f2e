#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace quantspec::cli {
namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not wait");

void OnInterrupt(int) {
  if (interrupted.exchange(true)) _exit(130);
}

}  // namespace

void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;  // without SA_RESTART: a waiting read ends
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

bool Interrupted() { return interrupted; }
void ForgetInterrupt() { interrupted = false; }

}  // namespace quantspec::cli
