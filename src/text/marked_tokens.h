// Tokens of text whose bytes know where they came from.
#pragma once

#include <vector>

#include "text/jinja/marked_text.h"
#include "text/tokenizer.h"

namespace quantspec {

// Special tokens are read only where a template wrote all of their name; the rest is text, as the
// model saw it. White space around a name that its rules take belongs to it whoever wrote it.
std::vector<Token> EncodeMarked(const NamingTokenizer& tokenizer, const jinja::MarkedText& text);

}  // namespace quantspec
