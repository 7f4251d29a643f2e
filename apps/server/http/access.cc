#include "server/http/access.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "quantspec/error.h"

namespace quantspec::server {
namespace {

constexpr size_t kMostKeyFileBytes = 1 << 20;

// `host[:port]` or `[v6][:port]` without the port, in lower case.
std::string HostName(std::string_view text) {
  size_t end = std::string_view::npos;
  if (!text.empty() && text[0] == '[') {
    end = text.find(']');
    if (end != std::string_view::npos) ++end;
  } else {
    end = text.find(':');
  }
  std::string name(text.substr(0, end));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

// An address can be nobody's name for another machine.
bool IsAddress(std::string_view name) {
  if (name.empty()) return false;
  if (name[0] == '[') return true;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c == '.' || std::isdigit(static_cast<unsigned char>(c));
  });
}

bool IsKnownHost(const AccessRules& rules, std::string_view host) {
  const std::string name = HostName(host);
  if (IsAddress(name) || name == "localhost") return true;
  return std::any_of(rules.hosts.begin(), rules.hosts.end(), [&](const std::string& known) {
    return known == "*" || HostName(known) == name;
  });
}

// The origin must be the server itself: the same name and port.
bool IsOwnOrigin(std::string_view origin, std::string_view host) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.substr(0, scheme.size()) != scheme) continue;
    const std::string_view authority = origin.substr(scheme.size());
    return authority.size() == host.size() &&
           std::equal(authority.begin(), authority.end(), host.begin(), [](char a, char b) {
             return std::tolower(static_cast<unsigned char>(a)) ==
                    std::tolower(static_cast<unsigned char>(b));
           });
  }
  return false;
}

std::string_view KeyIn(const HttpRequest& request) {
  const std::string_view bearer = request.Header("authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (bearer.size() > kScheme.size() &&
      std::equal(kScheme.begin(), kScheme.end(), bearer.begin(),
                 [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); })) {
    return bearer.substr(kScheme.size());
  }
  return request.Header("x-api-key");
}

}  // namespace

std::vector<std::string> ReadKeyFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status = {};
  std::string text;
  bool is_read = file >= 0 && fstat(file, &status) == 0;
  for (char part[4096]; is_read && text.size() <= kMostKeyFileBytes;) {
    const ssize_t count = read(file, part, sizeof part);
    if (count < 0) is_read = false;
    if (count <= 0) break;
    text.append(part, static_cast<size_t>(count));
  }
  const std::string reason = std::strerror(errno);
  if (file >= 0) close(file);
  if (!is_read) throw Error(ErrorKind::kIo, "--api-key-file: cannot read " + path + ": " + reason);
  if ((status.st_mode & 0077) != 0) {
    throw Error(ErrorKind::kUsage, "--api-key-file: others may read " + path +
                                       "; expected a file for its owner alone: chmod 600 " + path);
  }
  if (text.size() > kMostKeyFileBytes) {
    throw Error(ErrorKind::kUsage, "--api-key-file: " + path + " has more than " +
                                       std::to_string(kMostKeyFileBytes) + " bytes");
  }
  std::vector<std::string> keys;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    line.erase(0, std::min(line.find_first_not_of(" \t\r"), line.size()));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty() && line[0] != '#') keys.push_back(std::move(line));
    begin = end + 1;
  }
  if (keys.empty()) {
    throw Error(ErrorKind::kUsage,
                "--api-key-file: found no key in " + path + ", expected one a line");
  }
  return keys;
}

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char differs = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    differs = static_cast<unsigned char>(
        differs | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  }
  // The compiler must not end the loop at the first difference.
  volatile unsigned char seen = differs;
  return seen == 0;
}

int KeyOf(const AccessRules& rules, const HttpRequest& request) {
  const std::string_view given = KeyIn(request);
  int found = 0;
  for (size_t i = 0; i < rules.keys.size(); ++i) {
    if (EqualInConstantTime(rules.keys[i], given)) found = static_cast<int>(i) + 1;
  }
  return found;
}

bool IsAllowedOrigin(const AccessRules& rules, std::string_view origin) {
  return std::find(rules.origins.begin(), rules.origins.end(), origin) != rules.origins.end();
}

Access CheckAccess(const AccessRules& rules, const HttpRequest& request, bool needs_key) {
  const std::string_view host = request.Header("host");
  const std::string_view origin = request.Header("origin");
  if (!rules.is_local) {
    if (!host.empty() && !IsKnownHost(rules, host)) return Access::kForeignHost;
    if (!origin.empty() && !IsOwnOrigin(origin, host) && !IsAllowedOrigin(rules, origin)) {
      return Access::kForeignOrigin;
    }
  }
  if (rules.keys.empty() || !needs_key) return Access::kGranted;
  if (KeyOf(rules, request) > 0) return Access::kGranted;
  return KeyIn(request).empty() ? Access::kNoKey : Access::kWrongKey;
}

}  // namespace quantspec::server
