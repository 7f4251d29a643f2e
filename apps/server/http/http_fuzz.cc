// Any bytes reach the socket of a server: what comes back is a row of HTTP responses, and the
// connection ends. The first byte says after how many others a pause comes.
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "server/http/http_server.h"
#include "test_folder.h"

namespace quantspec::server {
namespace {

constexpr int kPauses = 40;  // until the server has read the first part
constexpr timeval kHangs{60, 0};

void Check(bool ok) {
  if (!ok) __builtin_trap();
}

HttpOptions Options(const std::string& path) {
  HttpOptions options;
  options.unix_path = path;
  // So little that inputs reach it.
  options.header_bytes = 512;
  options.body_bytes = 1024;
  options.all_body_bytes = 4096;
  return options;
}

// Answers at once, later, or in pieces, as the path says.
class Handler : public HttpHandler {
 public:
  explicit Handler(const HttpOptions& options) : options_(options) {}
  void Attach(HttpServer* server) { server_ = server; }

  std::optional<HttpResponse> Refuse(const HttpRequest& head) override {
    const std::lock_guard<std::mutex> guard(mutex_);
    methods_.push_back(head.method);
    Check(!head.method.empty() && head.path.find('?') == std::string::npos);
    for (const auto& [name, value] : head.headers) {
      Check(!name.empty() && (name + value).find_first_of("\r\n") == std::string::npos);
    }
    if (head.path != "/refused") return std::nullopt;
    return HttpResponse{403, "text/plain", "no", {}};
  }
  Headers ExtraHeaders(const HttpRequest&) override { return {{"X-Extra", "1"}}; }
  void Serve(HttpRequest request, std::shared_ptr<Exchange> exchange) override {
    Check(request.body.size() <= options_.body_bytes);
    HttpResponse response{200, "text/plain", request.body, {}};
    exchange->Watch([] {}, [] {});
    if (request.path == "/later") {
      server_->Post([exchange, response] { exchange->Respond(response); });
    } else if (request.path == "/pieces") {
      exchange->Begin(response);
      exchange->Write("piece");
      server_->Post([exchange] {
        exchange->Write("another");
        exchange->End();
      });
    } else {
      exchange->Respond(response);
    }
  }
  HttpResponse Failure(int status, std::string_view message) override {
    return {status, "text/plain", std::string(message), {}};
  }
  void Tick() override {}

  // The methods of the requests since the last call.
  std::vector<std::string> TakeMethods() {
    const std::lock_guard<std::mutex> guard(mutex_);
    return std::exchange(methods_, {});
  }

 private:
  const HttpOptions& options_;
  HttpServer* server_ = nullptr;
  std::mutex mutex_;
  std::vector<std::string> methods_;
};

class RunningServer {
 public:
  RunningServer()
      : options_(Options(folder_.path() + "/socket")),
        handler_(options_),
        server_(HttpServer::Listen(options_, handler_)) {
    handler_.Attach(server_.get());
    thread_ = std::thread([this] { server_->Run(); });
  }
  ~RunningServer() {
    server_->Stop();
    thread_.join();
  }

  Handler& handler() { return handler_; }
  int Connect() const {
    const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    options_.unix_path.copy(address.sun_path, sizeof address.sun_path - 1);
    Check(made >= 0);
    Check(connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    Check(setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &kHangs, sizeof kHangs) == 0);
    Check(setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &kHangs, sizeof kHangs) == 0);
    return made;
  }

 private:
  const TestFolder folder_;
  HttpOptions options_;
  Handler handler_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

// False if the server has closed.
bool SendAll(int to, std::string_view data) {
  while (!data.empty()) {
    const ssize_t sent = send(to, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) {
      Check(errno == EPIPE || errno == ECONNRESET);
      return false;
    }
    data.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void WaitUntilRead(int from) {
  int left = 1;
  for (int i = 0; i < kPauses && left > 0; ++i) {
    sched_yield();
    if (ioctl(from, SIOCOUTQ, &left) != 0) return;
  }
}

std::string ReadAll(int from) {
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t count = recv(from, part, sizeof part, 0);
    if (count < 0 && errno == EINTR) continue;  // libFuzzer's clock
    if (count < 0) Check(errno == ECONNRESET);  // and not that it hangs
    if (count <= 0) return text;
    text.append(part, static_cast<size_t>(count));
  }
}

// The value of the first field `name` of `head`, or "".
std::string_view FieldOf(std::string_view head, std::string_view name) {
  const size_t begin = head.find("\r\n" + std::string(name) + ": ");
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = head.substr(begin + name.size() + 4);
  return rest.substr(0, rest.find("\r\n"));
}

size_t Number(std::string_view digits, int base) {
  size_t number = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  Check(error == std::errc() && end == digits.data() + digits.size());
  return number;
}

// Takes a body in chunks off `text`; false if it is cut.
bool SkipChunks(std::string_view* text) {
  for (;;) {
    const size_t line = text->find("\r\n");
    if (line == std::string_view::npos) return false;
    const size_t size = Number(text->substr(0, line), 16);
    if (text->size() < line + 4 + size) return false;
    Check(text->substr(line + 2 + size, 2) == "\r\n");
    text->remove_prefix(line + 4 + size);
    if (size == 0) return true;
  }
}

// Responses to requests of these methods, of which the last may be cut: the client went away.
void CheckResponses(std::string_view text, const std::vector<std::string>& methods) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  for (size_t answered = 0; !text.empty();) {
    Check(text.substr(0, kVersion.size()) == kVersion.substr(0, text.size()));
    const size_t end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) return;
    const std::string_view head = text.substr(0, end + 2);
    text.remove_prefix(end + 4);
    const size_t status = Number(head.substr(kVersion.size(), 3), 10);
    if (status == 100) continue;
    Check(status >= 200 && status < 600 && status != 500);
    // One more than requests: for bytes that are none.
    Check(answered <= methods.size());
    const bool is_head = answered < methods.size() && methods[answered] == "HEAD";
    ++answered;
    const bool closes = FieldOf(head, "Connection") == "close";
    if (is_head) {
      // No body.
    } else if (FieldOf(head, "Transfer-Encoding") == "chunked") {
      if (!SkipChunks(&text)) return;
    } else if (const std::string_view length = FieldOf(head, "Content-Length"); !length.empty()) {
      text.remove_prefix(std::min(text.size(), Number(length, 10)));
    } else {
      Check(closes);
      return;
    }
    if (closes) Check(text.empty());
  }
}

}  // namespace
}  // namespace quantspec::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantspec::server;
  if (size == 0) return 0;
  static RunningServer server;
  server.handler().TakeMethods();
  const int client = server.Connect();
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view first = bytes.substr(0, data[0]);
  const std::string_view rest = bytes.substr(first.size());
  if (SendAll(client, first) && !rest.empty()) {
    if (!first.empty()) WaitUntilRead(client);
    SendAll(client, rest);
  }
  shutdown(client, SHUT_WR);
  const std::string answer = ReadAll(client);
  close(client);
  CheckResponses(answer, server.handler().TakeMethods());
  return 0;
}
