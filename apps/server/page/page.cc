#include "server/page/page.h"

namespace quantspec::server {

std::string PageWithNonce(std::string_view nonce) {
  constexpr std::string_view kMark = "@NONCE@";
  std::string page(PageText());
  for (size_t at = page.find(kMark); at != std::string::npos; at = page.find(kMark, at)) {
    page.replace(at, kMark.size(), nonce);
    at += nonce.size();
  }
  return page;
}

}  // namespace quantspec::server
