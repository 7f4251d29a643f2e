// `quantspec eval`: the paper's comparisons as one command.
#pragma once

#include "cli/common.h"

namespace quantspec::eval {

cli::Command AddEval(CLI::App& app);

}  // namespace quantspec::eval
