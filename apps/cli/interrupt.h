// Ctrl-C as a flag that loops look at.
#pragma once

namespace quantspec::cli {

// From now on SIGINT sets the flag; a second one while it is set ends the program with 130.
// SIGPIPE is ignored, so that writing to a closed pipe fails instead.
void CatchSignals();

bool Interrupted();
void ForgetInterrupt();

}  // namespace quantspec::cli
