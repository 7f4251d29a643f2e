// The API: which path does what, and the generations that are on their way.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "quantspec/scheduler.h"
#include "server/api/generation.h"
#include "server/api/worker.h"
#include "server/http/access.h"
#include "server/http/http_server.h"

namespace quantspec::server {

// What is written to the log: nothing, a line a request, or the requests' bodies too.
enum class LogKind { kNone, kRequests, kBodies };

struct ServiceOptions {
  AccessRules access;
  LogKind log = LogKind::kNone;
  std::function<void(const std::string& line)> write_log;
  double drain_s = 30;
  int cache_tokens = 0;
  int sequences = 1;
  std::string reuse;  // as --reuse names it
};

// All calls on the I/O thread, but for the constructor and Wake.
class Service : public HttpHandler {
 public:
  Service(Served served, ServiceOptions options);

  // Before the server runs.
  void Attach(HttpServer* server) { server_ = server; }
  // The engine is loaded: requests are taken from now on.
  void SetReady(Scheduler* scheduler, const Engine* engine) {
    scheduler_ = scheduler;
    engine_ = engine;
  }
  // Requests got events (SchedulerOptions::wake). Any thread.
  void Wake(std::span<const uint64_t> tags);
  // The first call lets answers end within drain_s and then stops the server; the second stops it.
  void Drain();
  // Ends what is left, the worker's task included, before scheduler and server go.
  void Close();

  std::optional<HttpResponse> Refuse(const HttpRequest& head) override;
  Headers ExtraHeaders(const HttpRequest& head) override;
  void Serve(HttpRequest request, std::shared_ptr<Exchange> exchange) override;
  HttpResponse Failure(int status, std::string_view message) override;
  void Tick() override;

 private:
  struct Route;
  using Answer = HttpResponse (Service::*)(const HttpRequest&);
  using Task = HttpResponse (*)(const Served&, const HttpRequest&);
  using Generations = std::unordered_map<uint64_t, std::shared_ptr<Generation>>;  // by their tags

  static const std::vector<Route>& Routes();
  // The route of the path, whatever the method; null if there is none.
  static const Route* Find(const HttpRequest& head);

  HttpResponse Health(const HttpRequest&);
  HttpResponse Models(const HttpRequest&);
  HttpResponse Model(const HttpRequest& request);
  HttpResponse Props(const HttpRequest&);
  HttpResponse Slots(const HttpRequest&);
  HttpResponse MetricsPage(const HttpRequest&);
  HttpResponse Page(const HttpRequest&);
  HttpResponse OpenApi(const HttpRequest&);

  Json ModelJson() const;
  // Runs `prepare` on the worker, then what it returns; responds if the worker has too much to do.
  void Prepare(const std::shared_ptr<Exchange>& exchange,
               std::function<std::function<void()>()> prepare);
  // Runs `task` on the worker, then responds.
  void Work(Task task, HttpRequest request, std::shared_ptr<Exchange> exchange);
  void Generate(Dialect dialect, HttpRequest request, std::shared_ptr<Exchange> exchange);
  // Responds with `error` and logs it.
  void Fail(Exchange& exchange, const ApiError& error);
  void Begin(Order order, std::shared_ptr<Exchange> exchange);
  void PumpWoken();
  void RemoveOver();
  // Logs and forgets one; returns the next.
  Generations::iterator Remove(Generations::iterator place);
  void WarnOfStore();
  void Log(const std::string& line);

  const Served served_;
  const ServiceOptions options_;
  HttpServer* server_ = nullptr;
  Scheduler* scheduler_ = nullptr;  // null while the model is loaded
  const Engine* engine_ = nullptr;  // the same
  bool has_warned_ = false;         // that the store on disk has stopped
  Metrics metrics_;
  Generations generations_;
  uint64_t last_tag_ = 0;
  int preparing_ = 0;  // requests that the worker has
  std::mutex woken_mutex_;
  std::vector<uint64_t> woken_;  // tags that PumpWoken has not seen; guarded by woken_mutex_
  bool is_draining_ = false;
  double drain_end_s_ = 0;
  double start_s_ = 0;
  std::unique_ptr<Worker> worker_;  // last: its tasks use the others
};

}  // namespace quantspec::server
