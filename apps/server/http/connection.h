// One connection: reads requests one after another, and watches for the client going away while one
// is answered. Included by http_server.cc alone.
#pragma once

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>  // Asio 1.74 forgets it

#include "server/http/http_server.h"

namespace quantspec::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

using Socket = asio::generic::stream_protocol::socket;
using SteadyClock = std::chrono::steady_clock;
using Moment = SteadyClock::time_point;

inline Moment In(double seconds) {
  return SteadyClock::now() +
         std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(seconds));
}

class Connection;

// What connections share.
struct Shared {
  const HttpOptions& options;
  HttpHandler& handler;
  std::unordered_set<std::shared_ptr<Connection>> open;
  size_t body_bytes = 0;  // of the bodies that are being read
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Socket socket, Shared& shared) : socket_(std::move(socket)), shared_(shared) {}

  void Start();
  // Answers with a failure at once and closes.
  void Reject(int status, std::string_view message);
  // Closes if a deadline has passed.
  void CheckDeadlines(Moment now);
  void Close();
  // True while bytes of an answer are not taken yet.
  bool is_sending() const { return is_writing_; }

 private:
  class ExchangeImpl;
  enum class State { kReading, kServing, kIdle, kLingering, kClosed };

  void ReadHeader();
  void OnHeader(beast::error_code error);
  void ReadBody();
  void OnBody(beast::error_code error);
  void OnReadError(beast::error_code error);
  void TakeHead();
  // Room for the body among those of all connections.
  bool ReserveBody();
  void ReleaseBody();
  void Serve();

  // Reads what comes while a request is answered, between requests, and before closing.
  void Watch();
  void OnWatched(beast::error_code error, size_t bytes);

  void Send(std::string data);
  void StartWrite();
  void OnWritten(beast::error_code error);
  // All of the answer is written.
  void FinishAnswer();
  void Linger();

  Socket socket_;
  Shared& shared_;
  State state_ = State::kReading;
  beast::flat_buffer buffer_{96 * 1024};
  std::optional<http::request_parser<http::string_body>> parser_;
  HttpRequest request_;
  Headers extra_;             // of the response
  bool is_head_ = false;      // a HEAD request: no body in the answer
  bool is_old_ = false;       // HTTP/1.0
  bool will_close_ = false;   // after this answer
  bool is_watching_ = false;  // a read is pending
  bool is_writing_ = false;
  bool is_ended_ = false;  // the answer is complete, but for what is unsent
  size_t reserved_ = 0;
  std::string outgoing_, writing_;
  std::shared_ptr<ExchangeImpl> exchange_;
  Moment read_deadline_ = Moment::max();
  Moment write_deadline_ = Moment::max();
};

// The handler's hold on the answer to one request.
class Connection::ExchangeImpl : public Exchange {
 public:
  explicit ExchangeImpl(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)) {}

  void Respond(HttpResponse response) override {
    if (!is_open() || is_begun_) return;
    const bool no_body = connection_->is_head_ || response.status == 204;
    std::string text =
        HeadText(response, connection_->extra_, Framing::kLength, connection_->will_close_);
    if (!no_body) text += response.body;
    connection_->Send(std::move(text));
    Finish();
  }

  void Begin(const HttpResponse& head) override {
    if (!is_open() || is_begun_) return;
    is_begun_ = true;
    is_chunked_ = !connection_->is_old_;
    connection_->will_close_ |= connection_->is_old_;
    connection_->Send(HeadText(head, connection_->extra_,
                               is_chunked_ ? Framing::kChunks : Framing::kUntilClosed,
                               connection_->will_close_));
    Write(head.body);
  }

  void Write(std::string_view data) override {
    if (!is_open() || !is_begun_ || data.empty() || connection_->is_head_) return;
    connection_->Send(is_chunked_ ? ChunkText(data) : std::string(data));
  }

  void End() override {
    if (!is_open() || !is_begun_) return;
    if (is_chunked_ && !connection_->is_head_) connection_->Send(ChunkText({}));
    Finish();
  }

  bool is_closed() const override { return is_closed_; }
  size_t unsent_bytes() const override {
    return is_open() ? connection_->outgoing_.size() + connection_->writing_.size() : 0;
  }
  void Watch(std::function<void()> on_closed, std::function<void()> on_sent) override {
    if (!is_open()) return;
    on_closed_ = std::move(on_closed);
    on_sent_ = std::move(on_sent);
  }

  // ---- the connection's side
  void Closed() {
    is_closed_ = true;
    connection_ = nullptr;
    on_sent_ = nullptr;
    if (const auto on_closed = std::exchange(on_closed_, nullptr)) on_closed();
  }
  void Sent() {
    const std::function<void()> on_sent = on_sent_;  // which may replace it
    if (on_sent) on_sent();
  }

 private:
  bool is_open() const { return connection_ != nullptr; }
  // The connection may go on to the next request once all is written.
  void Finish() {
    on_closed_ = on_sent_ = nullptr;
    const std::shared_ptr<Connection> connection = std::exchange(connection_, nullptr);
    connection->exchange_ = nullptr;
    connection->is_ended_ = true;
    if (!connection->is_writing_) connection->FinishAnswer();
  }

  std::shared_ptr<Connection> connection_;  // null once it is over
  std::function<void()> on_closed_, on_sent_;
  bool is_begun_ = false;
  bool is_chunked_ = false;
  bool is_closed_ = false;
};

}  // namespace quantspec::server
