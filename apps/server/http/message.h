// HTTP as the rest of the server sees it: a request that was read, and the exchange that answers
// it. Everything here belongs to the server's I/O thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quantspec::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string path;  // of the target, as sent, without the query
  Headers headers;   // names in lower case
  std::string body;

  // The value of the first header of that name (lower case), or "".
  std::string_view Header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  Headers headers;  // besides those of the body and the connection
};

// The answer to one request. Either Respond, or Begin, any number of Write and End. Calls after the
// end or after the client went away do nothing.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual void Respond(HttpResponse response) = 0;
  // The head of an answer that comes in pieces; its body is the first of them.
  virtual void Begin(const HttpResponse& head) = 0;
  virtual void Write(std::string_view data) = 0;
  virtual void End() = 0;

  // True once the client went away.
  virtual bool is_closed() const = 0;
  // Bytes written that the client has not taken yet.
  virtual size_t unsent_bytes() const = 0;
  // Called once when the client goes away before the end; `on_sent` whenever all bytes were taken.
  virtual void Watch(std::function<void()> on_closed, std::function<void()> on_sent) = 0;
};

// What answers requests.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Looks at a request before its body is read; a response refuses it.
  virtual std::optional<HttpResponse> Refuse(const HttpRequest& head) = 0;
  // Of every response to it, besides the response's own.
  virtual Headers ExtraHeaders(const HttpRequest& head) = 0;
  virtual void Serve(HttpRequest request, std::shared_ptr<Exchange> exchange) = 0;
  // The response for a request that HTTP itself refuses.
  virtual HttpResponse Failure(int status, std::string_view message) = 0;
  // About four times a second.
  virtual void Tick() = 0;
};

// "Not Found" for 404.
std::string_view StatusText(int status);

// How the body of a response is framed.
enum class Framing { kLength, kChunks, kUntilClosed };
// The head of a response, up to and with the empty line.
std::string HeadText(const HttpResponse& response, const Headers& extra, Framing framing,
                     bool closes);
// A chunk of a chunked body.
std::string ChunkText(std::string_view data);

}  // namespace quantspec::server
