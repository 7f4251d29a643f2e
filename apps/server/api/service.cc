#include "server/api/service.h"

#include <exception>
#include <random>
#include <utility>

#include "server/api/token_calls.h"

namespace quantspec::server {
namespace {

constexpr size_t kMostPreparing = 1024;
constexpr double kFlush_s = 5;  // for bytes that are written but not taken, at the end

uint64_t RandomSeed() {
  thread_local std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

ApiError TooBusy() {
  return ErrorOf(ErrorKind::kBusy, "too many requests wait to be read; try again later");
}

// The exception being handled, as a client sees it.
ApiError CurrentError() {
  try {
    throw;
  } catch (const ApiFailure& failure) {
    return failure.error;
  } catch (const Error& error) {
    return ErrorOf(error.kind(), error.what());
  } catch (const std::bad_alloc&) {
    return ErrorOf(ErrorKind::kMemory, "there is not enough memory for this request");
  } catch (const std::exception& error) {
    return ErrorOf(ErrorKind::kIo, error.what());
  }
}

}  // namespace

// Exactly one of the last three says how it is answered.
struct Service::Route {
  const char* method;
  const char* path;
  bool needs_key;
  Answer answer;
  Task task;
  std::optional<Dialect> dialect;
};

const std::vector<Service::Route>& Service::Routes() {
  static const std::vector<Route> routes = {
      {"GET", "/health", false, &Service::Health, nullptr, {}},
      {"GET", "/v1/health", false, &Service::Health, nullptr, {}},
      {"GET", "/", false, &Service::Page, nullptr, {}},
      {"GET", "/openapi.yaml", false, &Service::OpenApi, nullptr, {}},
      {"GET", "/v1/models", true, &Service::Models, nullptr, {}},
      {"GET", "/models", true, &Service::Models, nullptr, {}},
      {"GET", "/v1/models/{model}", true, &Service::Model, nullptr, {}},
      {"GET", "/props", true, &Service::Props, nullptr, {}},
      {"GET", "/slots", true, &Service::Slots, nullptr, {}},
      {"GET", "/metrics", true, &Service::MetricsPage, nullptr, {}},
      {"POST", "/tokenize", true, nullptr, &Tokenize, {}},
      {"POST", "/detokenize", true, nullptr, &Detokenize, {}},
      {"POST", "/v1/chat/completions", true, nullptr, nullptr, Dialect::kChat},
      {"POST", "/chat/completions", true, nullptr, nullptr, Dialect::kChat},
      {"POST", "/v1/completions", true, nullptr, nullptr, Dialect::kText},
      {"POST", "/completion", true, nullptr, nullptr, Dialect::kNative}};
  return routes;
}

const Service::Route* Service::Find(const HttpRequest& head) {
  constexpr std::string_view kOneModel = "/v1/models/";
  const bool is_model = head.path.size() > kOneModel.size() && head.path.rfind(kOneModel, 0) == 0;
  for (const Route& route : Routes()) {
    if (head.path == route.path || (is_model && std::string_view(route.path).back() == '}')) {
      return &route;
    }
  }
  return nullptr;
}

Service::Service(Served served, ServiceOptions options)
    : served_(std::move(served)),
      options_(std::move(options)),
      start_s_(NowSeconds()),
      worker_(std::make_unique<Worker>(kMostPreparing)) {}

void Service::Close() {
  worker_ = nullptr;
  for (const auto& [tag, generation] : generations_) generation->Fail(ShuttingDown());
  generations_.clear();
}

// ----------------------------------------------------------------------------------- requests

Headers Service::ExtraHeaders(const HttpRequest& head) {
  const std::string_view origin = head.Header("origin");
  if (origin.empty() || !IsAllowedOrigin(options_.access, origin)) return {};
  return {{"Access-Control-Allow-Origin", std::string(origin)}, {"Vary", "Origin"}};
}

HttpResponse Service::Failure(int status, std::string_view message) {
  ApiError error;
  error.status = status;
  error.message = message;
  if (status >= 500) error.type = "server_error";
  return ErrorResponse(error);
}

std::optional<HttpResponse> Service::Refuse(const HttpRequest& head) {
  const Route* route = Find(head);
  const bool needs_key = route == nullptr || route->needs_key;
  const bool is_preflight =
      head.method == "OPTIONS" && IsAllowedOrigin(options_.access, head.Header("origin"));
  ApiError error;
  error.status = 403;
  switch (CheckAccess(options_.access, head, needs_key && !is_preflight)) {
    case Access::kForeignHost:
      error.message = "the Host header names neither this machine nor a --allow-host";
      error.code = "foreign_host";
      return ErrorResponse(error);
    case Access::kForeignOrigin:
      error.message = "pages of other sites may not use this server; see --allow-origin";
      error.code = "foreign_origin";
      return ErrorResponse(error);
    case Access::kNoKey:
    case Access::kWrongKey:
      error.status = 401;
      error.message = "an API key is needed, as Authorization: Bearer KEY or x-api-key: KEY";
      error.type = "authentication_error";
      error.code = "invalid_api_key";
      return ErrorResponse(error);
    case Access::kGranted:
      break;
  }
  if (is_preflight) {
    HttpResponse response{204, "", "", {}};
    response.headers = {{"Access-Control-Allow-Methods", "GET, POST"},
                        {"Access-Control-Allow-Headers", "authorization, content-type, x-api-key"},
                        {"Access-Control-Max-Age", "600"}};
    return response;
  }
  if (route == nullptr) {
    error.status = 404;
    error.message = "there is nothing at " + head.path.substr(0, 200);
    error.code = "not_found";
    return ErrorResponse(error);
  }
  const std::string_view method = head.method == "HEAD" ? std::string_view("GET") : head.method;
  if (route->method != method) {
    error.status = 405;
    error.message = head.path + " expects " + route->method;
    HttpResponse response = ErrorResponse(error);
    response.headers.emplace_back("Allow", route->method);
    return response;
  }
  if (method == "GET") return std::nullopt;
  if (is_draining_) return ErrorResponse(ShuttingDown());
  if (scheduler_ == nullptr) return ErrorResponse(Loading());
  return std::nullopt;
}

void Service::Serve(HttpRequest request, std::shared_ptr<Exchange> exchange) {
  try {
    const Route& route = *Find(request);  // Refuse has seen to it
    if (options_.log == LogKind::kBodies && !request.body.empty()) {
      Log(request.method + " " + request.path + " " + request.body);
    }
    if (route.answer != nullptr) {
      exchange->Respond((this->*route.answer)(request));
    } else if (route.task != nullptr) {
      Work(route.task, std::move(request), std::move(exchange));
    } else {
      Generate(*route.dialect, std::move(request), std::move(exchange));
    }
  } catch (...) {
    exchange->Respond(ErrorResponse(CurrentError()));
  }
}

void Service::Work(Task task, HttpRequest request, std::shared_ptr<Exchange> exchange) {
  const auto shared = std::make_shared<HttpRequest>(std::move(request));
  Prepare(exchange, [this, task, shared, exchange]() -> std::function<void()> {
    HttpResponse response;
    try {
      response = task(served_, *shared);
    } catch (...) {
      response = ErrorResponse(CurrentError());
    }
    return [exchange, response = std::move(response)] { exchange->Respond(response); };
  });
}

void Service::Prepare(const std::shared_ptr<Exchange>& exchange,
                      std::function<std::function<void()>()> prepare) {
  ++preparing_;
  const bool is_added = worker_->Add([this, prepare = std::move(prepare)] {
    server_->Post([this, then = prepare()] {
      --preparing_;
      then();
    });
  });
  if (is_added) return;
  --preparing_;
  exchange->Respond(ErrorResponse(TooBusy()));
}

void Service::Generate(Dialect dialect, HttpRequest request, std::shared_ptr<Exchange> exchange) {
  try {
    scheduler_->CheckQueue();
  } catch (...) {
    return Fail(*exchange, CurrentError());
  }
  const auto body = std::make_shared<std::string>(std::move(request.body));
  const int key = KeyOf(options_.access, request);
  Prepare(exchange, [this, dialect, body, key, exchange]() -> std::function<void()> {
    auto order = std::make_shared<Order>();
    std::optional<ApiError> error;
    try {
      scheduler_->CheckQueue();  // others may have come first
      *order = ReadOrder(dialect, served_, *body, RandomSeed());
    } catch (...) {
      error = CurrentError();
    }
    // Users with different keys share nothing, whatever salts they give.
    if (key > 0)
      order->salt = options_.access.keys[static_cast<size_t>(key) - 1] + "\n" + order->salt;
    body->clear();
    body->shrink_to_fit();
    return [this, order, error, exchange] {
      if (!error) return Begin(std::move(*order), exchange);
      Fail(*exchange, *error);
    };
  });
}

void Service::Fail(Exchange& exchange, const ApiError& error) {
  exchange.Respond(ErrorResponse(error));
  Log(std::to_string(error.status) + ", " + error.code);
}

void Service::Begin(Order order, std::shared_ptr<Exchange> exchange) {
  const uint64_t tag = ++last_tag_;
  const auto generation = std::make_shared<Generation>(tag, std::move(order), std::move(exchange),
                                                       Floor{served_, *scheduler_, metrics_});
  const auto place = generations_.emplace(tag, generation).first;
  generation->Start();
  if (generation->is_over()) Remove(place);
}

// ------------------------------------------------------------------------------------- events

void Service::Wake(std::span<const uint64_t> tags) {
  {
    const std::lock_guard<std::mutex> guard(woken_mutex_);
    const bool is_posted = !woken_.empty();
    woken_.insert(woken_.end(), tags.begin(), tags.end());
    if (is_posted) return;
  }
  server_->Post([this] { PumpWoken(); });
}

void Service::PumpWoken() {
  std::vector<uint64_t> tags;
  {
    const std::lock_guard<std::mutex> guard(woken_mutex_);
    tags.swap(woken_);
  }
  for (const uint64_t tag : tags) {
    const auto place = generations_.find(tag);
    if (place == generations_.end()) continue;
    place->second->Pump();
    if (place->second->is_over()) Remove(place);
  }
}

Service::Generations::iterator Service::Remove(Generations::iterator place) {
  Log(place->second->Summary());
  return generations_.erase(place);
}

void Service::RemoveOver() {
  for (auto it = generations_.begin(); it != generations_.end();) {
    it = it->second->is_over() ? Remove(it) : std::next(it);
  }
}

void Service::Tick() {
  for (const auto& [tag, generation] : generations_) generation->Tick();
  RemoveOver();
  WarnOfStore();
  if (!is_draining_) return;
  const double now = NowSeconds();
  if (now >= drain_end_s_) {
    for (const auto& [tag, generation] : generations_) generation->Fail(ShuttingDown());
    RemoveOver();
  }
  const bool is_idle = generations_.empty() && preparing_ == 0;
  if ((is_idle && !server_->is_sending()) || now >= drain_end_s_ + kFlush_s) server_->Stop();
}

void Service::WarnOfStore() {
  if (engine_ == nullptr || has_warned_) return;
  const std::string warning = engine_->prompt_store().warning;
  if (warning.empty()) return;
  has_warned_ = true;
  Log("warning: " + warning);
}

void Service::Drain() {
  if (is_draining_) {
    server_->Stop();
    return;
  }
  is_draining_ = true;
  drain_end_s_ = NowSeconds() + options_.drain_s;
}

void Service::Log(const std::string& line) {
  if (options_.log != LogKind::kNone && options_.write_log) options_.write_log(line);
}

}  // namespace quantspec::server
