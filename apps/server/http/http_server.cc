#include "server/http/http_server.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <exception>
#include <vector>

#include "quantspec/error.h"
#include "server/http/connection.h"
#include "server/http/listen.h"

namespace quantspec::server {
namespace {

constexpr size_t kWatchBytes = 1024;           // of a read while a request is answered
constexpr size_t kPipelinedBytes = 16 * 1024;  // that are read ahead of their turn
constexpr size_t kBodyReadBytes = 64 * 1024;
constexpr size_t kKeptBytes = 16 * 1024;  // of a buffer between uses
constexpr auto kSweep = std::chrono::milliseconds(250);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

std::string Lower(beast::string_view text) {
  std::string lower(text.data(), text.size());
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

void Shrink(std::string* text) {
  text->clear();
  if (text->capacity() > kKeptBytes) std::string().swap(*text);
}

}  // namespace

// --------------------------------------------------------------------------------- connection

void Connection::Start() {
  shared_.open.insert(shared_from_this());
  ReadHeader();
}

void Connection::Reject(int status, std::string_view message) {
  const HttpResponse response = shared_.handler.Failure(status, message);
  will_close_ = is_ended_ = true;
  state_ = State::kServing;
  std::string text = HeadText(response, {}, Framing::kLength, will_close_);
  if (!is_head_) text += response.body;
  Send(std::move(text));
}

void Connection::CheckDeadlines(Moment now) {
  if (now >= read_deadline_ || now >= write_deadline_) Close();
}

void Connection::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  const std::shared_ptr<Connection> self = shared_from_this();
  beast::error_code ignored;
  socket_.close(ignored);
  ReleaseBody();
  shared_.open.erase(self);
  if (const auto exchange = std::exchange(exchange_, nullptr)) exchange->Closed();
}

void Connection::ReadHeader() {
  state_ = State::kReading;
  read_deadline_ = In(shared_.options.header_s);
  is_ended_ = is_head_ = false;
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(shared_.options.header_bytes));
  parser_->body_limit(shared_.options.body_bytes);
  http::async_read_header(
      socket_, buffer_, *parser_,
      [self = shared_from_this()](beast::error_code error, size_t) { self->OnHeader(error); });
}

void Connection::OnReadError(beast::error_code error) {
  ReleaseBody();
  if (error == http::error::header_limit) {
    Reject(431, "the header of the request is longer than " +
                    std::to_string(shared_.options.header_bytes) + " bytes");
  } else if (error == http::error::body_limit) {
    Reject(413, "the body of the request is longer than " +
                    std::to_string(shared_.options.body_bytes) + " bytes");
  } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
             error != http::error::end_of_stream && error != http::error::partial_message) {
    Reject(400, "this is no HTTP request: " + error.message());
  } else {
    Close();
  }
}

void Connection::TakeHead() {
  const auto& message = parser_->get();
  request_ = {};
  request_.method.assign(message.method_string().data(), message.method_string().size());
  const std::string target(message.target().data(), message.target().size());
  request_.path = target.substr(0, target.find('?'));
  for (const auto& field : message) {
    request_.headers.emplace_back(Lower(field.name_string()),
                                  std::string(field.value().data(), field.value().size()));
  }
  is_head_ = message.method() == http::verb::head;
  is_old_ = message.version() < 11;
  will_close_ = !message.keep_alive();
}

bool Connection::ReserveBody() {
  const auto length = parser_->content_length();
  size_t wanted = shared_.options.body_bytes;
  if (length) wanted = std::min<size_t>(wanted, static_cast<size_t>(*length));
  if (!length && !parser_->chunked()) wanted = 0;
  if (shared_.body_bytes + wanted > shared_.options.all_body_bytes) return false;
  reserved_ = wanted;
  shared_.body_bytes += wanted;
  return true;
}

void Connection::ReleaseBody() { shared_.body_bytes -= std::exchange(reserved_, 0); }

void Connection::OnHeader(beast::error_code error) {
  if (state_ == State::kClosed) return;
  if (error) return OnReadError(error);
  TakeHead();
  extra_ = shared_.handler.ExtraHeaders(request_);
  if (const auto refusal = shared_.handler.Refuse(request_)) {
    will_close_ |= !parser_->is_done();  // the body is not read
    exchange_ = std::make_shared<ExchangeImpl>(shared_from_this());
    state_ = State::kServing;
    const auto exchange = exchange_;
    exchange->Respond(*refusal);
    return;
  }
  if (!ReserveBody()) return Reject(503, "too many large requests at once; try again later");
  const std::string_view expected = request_.Header("expect");
  if (expected.empty() || parser_->is_done()) return ReadBody();
  if (Lower({expected.data(), expected.size()}) != "100-continue") {
    return Reject(417, "expect: only 100-continue is known");
  }
  writing_ = "HTTP/1.1 100 Continue\r\n\r\n";
  write_deadline_ = In(shared_.options.write_s);
  asio::async_write(socket_, asio::buffer(writing_),
                    [self = shared_from_this()](beast::error_code failure, size_t) {
                      self->writing_.clear();
                      self->write_deadline_ = Moment::max();
                      if (self->state_ == State::kClosed) return;
                      failure ? self->Close() : self->ReadBody();
                    });
}

void Connection::ReadBody() {
  if (parser_->is_done()) return OnBody({});
  read_deadline_ = In(shared_.options.body_s);
  if (reserved_ > kBodyReadBytes) buffer_.reserve(kBodyReadBytes);
  http::async_read(
      socket_, buffer_, *parser_,
      [self = shared_from_this()](beast::error_code error, size_t) { self->OnBody(error); });
}

void Connection::OnBody(beast::error_code error) {
  if (state_ == State::kClosed) return;
  if (error) return OnReadError(error);
  request_.body = std::move(parser_->get().body());
  parser_.reset();
  buffer_.shrink_to_fit();
  ReleaseBody();
  Serve();
}

void Connection::Serve() {
  state_ = State::kServing;
  read_deadline_ = Moment::max();
  exchange_ = std::make_shared<ExchangeImpl>(shared_from_this());
  const auto exchange = exchange_;
  Watch();
  shared_.handler.Serve(std::move(request_), exchange);
}

void Connection::Watch() {
  if (is_watching_ || buffer_.size() >= kPipelinedBytes || state_ == State::kClosed) return;
  is_watching_ = true;
  socket_.async_read_some(buffer_.prepare(kWatchBytes),
                          [self = shared_from_this()](beast::error_code error, size_t bytes) {
                            self->OnWatched(error, bytes);
                          });
}

void Connection::OnWatched(beast::error_code error, size_t bytes) {
  is_watching_ = false;
  if (state_ == State::kClosed) return;
  buffer_.commit(bytes);
  if (state_ == State::kIdle && (!error || error == asio::error::operation_aborted)) {
    return ReadHeader();
  }
  if (error) return Close();
  if (state_ == State::kLingering) buffer_.consume(buffer_.size());
  Watch();
}

void Connection::Send(std::string data) {
  if (state_ == State::kClosed) return;
  if (outgoing_.empty()) {
    outgoing_ = std::move(data);
  } else {
    outgoing_ += data;
  }
  if (!is_writing_) StartWrite();
}

void Connection::StartWrite() {
  is_writing_ = true;
  writing_.swap(outgoing_);
  write_deadline_ = In(shared_.options.write_s);
  asio::async_write(
      socket_, asio::buffer(writing_),
      [self = shared_from_this()](beast::error_code error, size_t) { self->OnWritten(error); });
}

void Connection::OnWritten(beast::error_code error) {
  is_writing_ = false;
  write_deadline_ = Moment::max();
  Shrink(&writing_);
  if (state_ == State::kClosed) return;
  if (error) return Close();
  if (!outgoing_.empty()) return StartWrite();
  if (is_ended_) return FinishAnswer();
  if (const auto exchange = exchange_) exchange->Sent();
}

void Connection::FinishAnswer() {
  if (state_ == State::kClosed) return;
  if (will_close_) return Linger();
  state_ = State::kIdle;
  is_ended_ = false;
  read_deadline_ = In(shared_.options.idle_s);
  if (buffer_.size() == 0) return Watch();
  // The next request is here already; a pending read would take its bytes.
  if (!is_watching_) return ReadHeader();
  beast::error_code ignored;
  socket_.cancel(ignored);
}

// A client that still sends would lose the answer to a reset.
void Connection::Linger() {
  state_ = State::kLingering;
  read_deadline_ = In(shared_.options.linger_s);
  beast::error_code error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (error) return Close();
  buffer_.consume(buffer_.size());
  Watch();
}

// ------------------------------------------------------------------------------------- server

namespace {

class HttpServerImpl : public HttpServer {
 public:
  HttpServerImpl(const HttpOptions& options, HttpHandler& handler)
      : options_(options), shared_{options_, handler, {}, 0} {
    address_ = options_.unix_path.empty() ? ListenOnAddress(tcp_, io_, options_)
                                          : ListenOnPath(local_, io_, options_.unix_path);
  }

  ~HttpServerImpl() override {
    const auto open = shared_.open;
    for (const auto& connection : open) connection->Close();
    if (local_.is_open()) unlink(options_.unix_path.c_str());
  }

  void Run() override {
    if (local_.is_open()) {
      Accept(local_);
    } else {
      Accept(tcp_);
    }
    Sweep();
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception&) {
        // Out of memory in the middle of a connection: its deadline closes it, the others go on.
      }
    }
  }
  void Post(std::function<void()> task) override { asio::post(io_, std::move(task)); }
  void Stop() override { io_.stop(); }
  void OnSignal(std::function<void()> task) override {
    asio::post(io_, [this, task = std::move(task)] {
      signals_.add(SIGTERM);
      signals_.add(SIGINT);
      WaitForSignal(task);
    });
  }
  std::string address() const override { return address_; }
  int connections() const override { return static_cast<int>(shared_.open.size()); }
  bool is_sending() const override {
    return std::any_of(shared_.open.begin(), shared_.open.end(),
                       [](const auto& connection) { return connection->is_sending(); });
  }

 private:
  template <typename Acceptor>
  void Accept(Acceptor& acceptor) {
    acceptor.async_accept([this, &acceptor](beast::error_code error, auto socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) {  // out of descriptors: later there may be one
        pause_.expires_after(kAcceptPause);
        pause_.async_wait([this, &acceptor](beast::error_code stopped) {
          if (!stopped) Accept(acceptor);
        });
        return;
      }
      if constexpr (std::is_same_v<Acceptor, asio::ip::tcp::acceptor>) {
        beast::error_code ignored;
        socket.set_option(asio::ip::tcp::no_delay(true), ignored);
      }
      Take(Socket(std::move(socket)));
      Accept(acceptor);
    });
  }

  void Take(Socket socket) {
    const auto connection = std::make_shared<Connection>(std::move(socket), shared_);
    if (connections() >= options_.connections) {
      shared_.open.insert(connection);
      connection->Reject(503, "too many connections; try again later");
    } else {
      connection->Start();
    }
  }

  void Sweep() {
    sweep_.expires_after(kSweep);
    sweep_.async_wait([this](beast::error_code error) {
      if (error) return;
      const Moment now = SteadyClock::now();
      due_.assign(shared_.open.begin(), shared_.open.end());
      for (const auto& connection : due_) connection->CheckDeadlines(now);
      due_.clear();
      shared_.handler.Tick();
      Sweep();
    });
  }

  void WaitForSignal(const std::function<void()>& task) {
    signals_.async_wait([this, task](beast::error_code error, int) {
      if (error) return;
      task();
      WaitForSignal(task);
    });
  }

  HttpOptions options_;
  asio::io_context io_{1};
  asio::ip::tcp::acceptor tcp_{io_};
  asio::local::stream_protocol::acceptor local_{io_};
  asio::steady_timer pause_{io_}, sweep_{io_};
  asio::signal_set signals_{io_};
  std::string address_;
  Shared shared_;
  std::vector<std::shared_ptr<Connection>> due_;
};

}  // namespace

std::unique_ptr<HttpServer> HttpServer::Listen(const HttpOptions& options, HttpHandler& handler) {
  return std::make_unique<HttpServerImpl>(options, handler);
}

}  // namespace quantspec::server
