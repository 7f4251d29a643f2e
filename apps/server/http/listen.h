// Sockets that listen. Included by http_server.cc alone.
#pragma once

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "quantspec/error.h"
#include "server/http/connection.h"

namespace quantspec::server {

inline std::vector<asio::ip::tcp::endpoint> Resolve(asio::io_context& io,
                                                    const HttpOptions& options) {
  beast::error_code error;
  asio::ip::tcp::resolver resolver(io);
  const auto found = resolver.resolve(options.host, std::to_string(options.port),
                                      asio::ip::tcp::resolver::passive, error);
  if (error || found.empty()) {
    throw Error(ErrorKind::kUsage, "--host: found '" + options.host +
                                       "', expected an address such as 127.0.0.1 or 0.0.0.0 (" +
                                       error.message() + ")");
  }
  std::vector<asio::ip::tcp::endpoint> endpoints;
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  // An IPv4 address first: clients take "localhost" for 127.0.0.1.
  std::stable_partition(endpoints.begin(), endpoints.end(),
                        [](const auto& endpoint) { return endpoint.address().is_v4(); });
  return endpoints;
}

[[noreturn]] inline void FailToListen(const std::string& where, const beast::error_code& error) {
  throw Error(ErrorKind::kIo, "cannot listen on " + where + ": " + error.message() +
                                  (error == asio::error::address_in_use
                                       ? "; another program does, choose another one"
                                       : ""));
}

// Removes the socket that a killed server left.
inline void RemoveStaleSocket(asio::io_context& io, const std::string& path) {
  struct stat status = {};
  if (lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) {
    throw Error(ErrorKind::kUsage, "--unix: " + path + " exists and is no socket");
  }
  asio::local::stream_protocol::socket probe(io);
  beast::error_code error;
  probe.connect(asio::local::stream_protocol::endpoint(path), error);
  if (error == asio::error::connection_refused) unlink(path.c_str());
}

// Returns the address as a client writes it. Throws Error.
inline std::string ListenOnAddress(asio::ip::tcp::acceptor& acceptor, asio::io_context& io,
                                   const HttpOptions& options) {
  const auto endpoint = Resolve(io, options).front();
  beast::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  const bool needs_brackets = options.host.find(':') != std::string::npos;
  const std::string host = needs_brackets ? "[" + options.host + "]" : options.host;
  if (error) FailToListen(host + ":" + std::to_string(options.port), error);
  return "http://" + host + ":" + std::to_string(acceptor.local_endpoint().port());
}

// The same with a socket in the file system, for its owner alone.
inline std::string ListenOnPath(asio::local::stream_protocol::acceptor& acceptor,
                                asio::io_context& io, const std::string& path) {
  constexpr size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() > kMost) {
    throw Error(ErrorKind::kUsage,
                "--unix: the path is longer than " + std::to_string(kMost) + " bytes");
  }
  RemoveStaleSocket(io, path);
  beast::error_code error;
  const mode_t before = umask(0077);
  acceptor.open(asio::local::stream_protocol(), error);
  if (!error) acceptor.bind(asio::local::stream_protocol::endpoint(path), error);
  umask(before);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    beast::error_code ignored;
    acceptor.close(ignored);
    FailToListen(path, error);
  }
  return "unix:" + path;
}

}  // namespace quantspec::server
