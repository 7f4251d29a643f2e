// The files that the server carries.
#pragma once

#include <string>
#include <string_view>

namespace quantspec::server {

// The page at `/`. Its script and its style have @NONCE@ where the policy of the response wants a
// number used once.
std::string_view PageText();
std::string_view OpenApiText();

std::string PageWithNonce(std::string_view nonce);

}  // namespace quantspec::server
