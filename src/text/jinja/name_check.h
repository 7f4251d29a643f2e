// Filters and tests that do not exist are noticed before a template runs.
#pragma once

#include "text/jinja/ast.h"

namespace quantspec::jinja {

// Throws SyntaxFailure for unknown names outside conditions; those inside fail when they run.
void CheckNames(const Body& body);

}  // namespace quantspec::jinja
