// Unicode's composed normal form (NFC), which some tokenizers bring text into first.
#pragma once

#include <string>
#include <string_view>

namespace quantspec {

// False if `text` (valid UTF-8) surely is in composed form already; quick.
bool MayNeedComposing(std::string_view text);

// `text` (valid UTF-8) in composed normal form. [unicode, UAX 15]
std::string Compose(std::string_view text);

}  // namespace quantspec
