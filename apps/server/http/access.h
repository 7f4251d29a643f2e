// Who may use the server: API keys, the Host header and the Origin header.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace quantspec::server {

// The keys in a file, one a line; empty lines and lines that begin with # are left out. Throws
// Error: kIo for a file that cannot be read, kUsage for one that others may read, that is
// longer than 1 MiB, or that has no key.
std::vector<std::string> ReadKeyFile(const std::string& path);

// True if both are equal; the time tells nothing but the lengths.
bool EqualInConstantTime(std::string_view a, std::string_view b);

struct AccessRules {
  std::vector<std::string> keys;  // empty: anybody
  // Names that a Host header may have besides addresses and localhost, without a port; "*": any. A
  // page of another site that points its own name at this machine is refused so (DNS rebinding).
  std::vector<std::string> hosts;
  std::vector<std::string> origins;  // of other sites whose pages may use the server
  bool is_local = false;             // a unix socket: no web page can reach it
};

enum class Access { kGranted, kForeignHost, kForeignOrigin, kNoKey, kWrongKey };

// `needs_key`: whether the path asks for one.
Access CheckAccess(const AccessRules& rules, const HttpRequest& request, bool needs_key);
// True if `origin` is one of `rules.origins`.
bool IsAllowedOrigin(const AccessRules& rules, std::string_view origin);
// The number of the key that `request` brings, from 1; 0 without keys or with none that is known.
int KeyOf(const AccessRules& rules, const HttpRequest& request);

}  // namespace quantspec::server
