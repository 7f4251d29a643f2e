// Kinds of Unicode characters at the ends of texts. Broken characters are of no kind.
#pragma once

#include <cstddef>
#include <string_view>

namespace quantspec {

// White space as Unicode's property White_Space has it: bytes of the run at that end.
size_t SpaceBytesAtStart(std::string_view text);
size_t SpaceBytesAtEnd(std::string_view text);

// Letters, marks, digits, connecting punctuation and joiners. [unicode, UTS 18 annex C]
bool StartsWithWordCharacter(std::string_view text);
bool EndsWithWordCharacter(std::string_view text);

}  // namespace quantspec
