// The sockets: accepts connections, reads requests within limits and writes what answers them. One
// thread runs it all; only http_server.cc knows the HTTP library.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "server/http/message.h"

namespace quantspec::server {

struct HttpOptions {
  std::string host = "127.0.0.1";  // an address, or "localhost"; not used with a unix socket
  int port = 8080;                 // 0: any free one
  std::string unix_path;           // listens on this socket in the file system instead

  size_t header_bytes = 64 * 1024;
  size_t body_bytes = 16 * 1024 * 1024;
  // Of all requests that are being read; the next one gets 503.
  size_t all_body_bytes = 256 * 1024 * 1024;
  int connections = 4096;  // the next one gets 503 and is closed
  double header_s = 10;    // from the first byte, or the connection, to the end of the header
  double body_s = 60;      // for the body
  double idle_s = 75;      // between requests of a connection
  double write_s = 60;     // for a client that takes nothing
  double linger_s = 2;     // to read on after a connection was refused
};

class HttpServer {
 public:
  // Binds and listens. Throws Error{kIo} or, for a host or a path that cannot be, kUsage.
  static std::unique_ptr<HttpServer> Listen(const HttpOptions& options, HttpHandler& handler);
  virtual ~HttpServer() = default;

  // Serves on this thread until Stop.
  virtual void Run() = 0;
  // Any thread may call these two.
  virtual void Post(std::function<void()> task) = 0;
  virtual void Stop() = 0;
  // Runs `task` on the thread of Run for each SIGTERM and SIGINT from now on.
  virtual void OnSignal(std::function<void()> task) = 0;

  // "http://127.0.0.1:8080", "unix:/run/quantspec.sock".
  virtual std::string address() const = 0;
  // On the thread of Run: connections, and whether one of them has bytes to send.
  virtual int connections() const = 0;
  virtual bool is_sending() const = 0;
};

}  // namespace quantspec::server
