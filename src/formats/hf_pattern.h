// Patterns of tokenizer.json, which Oniguruma reads, as PCRE2 reads them.
#pragma once

#include <string>
#include <string_view>

namespace quantspec {

// Translates what the two read differently (white space, ends of lines) and refuses what this build
// does not know to be the same: throws Error{kUnsupported} naming it. `where` begins messages.
std::string TranslatePattern(std::string_view pattern, const std::string& where);

// A pattern that matches `text` itself.
std::string LiteralPattern(std::string_view text);

}  // namespace quantspec
