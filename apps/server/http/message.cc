#include "server/http/message.h"

#include <cstdio>

namespace quantspec::server {

std::string_view HttpRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string_view StatusText(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Unknown";
  }
}

std::string HeadText(const HttpResponse& response, const Headers& extra, Framing framing,
                     bool closes) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " +
                     std::string(StatusText(response.status)) + "\r\nServer: quantspec\r\n";
  if (!response.type.empty()) head += "Content-Type: " + response.type + "\r\n";
  for (const Headers* headers : {&response.headers, &extra}) {
    for (const auto& [name, value] : *headers) head += name + ": " + value + "\r\n";
  }
  head += "X-Content-Type-Options: nosniff\r\n";
  if (framing == Framing::kLength && response.status != 204) {
    head += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  }
  if (framing == Framing::kChunks) head += "Transfer-Encoding: chunked\r\n";
  head += closes ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n";
  return head;
}

std::string ChunkText(std::string_view data) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + std::string(data) + "\r\n";
}

}  // namespace quantspec::server
