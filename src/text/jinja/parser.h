// From a template's text to its tree.
#pragma once

#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace quantspec::jinja {

// Throws SyntaxFailure.
Body Parse(std::string_view source);

}  // namespace quantspec::jinja
