#include "server/serve.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <iostream>
#include <thread>

#include "cli/answer.h"
#include "cli/common.h"
#include "cli/output.h"
#include "cli/prompt_store_options.h"
#include "server/api/service.h"

namespace quantspec::server {
namespace {

constexpr int kMostQueue = 1 << 20;
constexpr int kMostConnections = 1 << 20;
constexpr int kContextsByDefault = 4;  // that the cache holds if memory allows

struct Options {
  cli::ModelOptions model;
  std::string chat_template;  // a file
  GenerateOptions defaults;
  HttpOptions http;
  int max_queue = 64;
  std::string name;
  std::string key_file;
  std::vector<std::string> hosts, origins;
  LogKind log = LogKind::kRequests;
};

std::string NameOfModel(const std::string& path) {
  const std::filesystem::path whole = std::filesystem::path(path).lexically_normal();
  const std::filesystem::path last =
      whole.has_filename() ? whole.filename() : whole.parent_path().filename();
  return last.extension() == ".gguf" ? last.stem().string() : last.string();
}

// Tokens that the cache holds: as asked for, or four contexts if they fit into half of what the
// weights leave of the memory.
int ChooseCacheTokens(const Options& options, const ModelFile& file) {
  if (options.model.capacity.cache_tokens > 0) return options.model.capacity.cache_tokens;
  const int model_context = file.info().context;
  SessionOptions session = options.model.session;
  session.context = session.context > 0 ? std::min(session.context, model_context) : model_context;
  EngineCapacity capacity = options.model.capacity;
  capacity.cache_tokens = session.context;
  const MemoryPlan plan = file.Plan(session, capacity);
  const uint64_t others = plan.bytes.total() - plan.bytes.pool;
  const uint64_t left = plan.available_bytes > others ? plan.available_bytes - others : 0;
  const double each = static_cast<double>(plan.bytes.pool) / session.context;
  const double most = static_cast<double>(session.context) * kContextsByDefault;
  const double fitting = each > 0 ? static_cast<double>(left) / 2 / each : most;
  // One context at least is tried for; what does not fit fails with an advice.
  return static_cast<int>(
      std::max(std::min(most, fitting), std::min<double>(session.context, 256)));
}

void PrintListening(const std::string& address) {
  std::cerr << "listening on " + address + "\n" << std::flush;
}

// The thread of the sockets; stops and is joined when it goes.
class IoThread {
 public:
  explicit IoThread(HttpServer& server)
      : server_(server), thread_([&server] {
          pthread_setname_np(pthread_self(), "server-io");
          server.Run();
        }) {}
  ~IoThread() {
    if (!thread_.joinable()) return;
    server_.Stop();
    thread_.join();
  }
  void Join() { thread_.join(); }

 private:
  HttpServer& server_;
  std::thread thread_;
};

Served MakeServed(const Options& options, const ModelFile& file, int cache_tokens) {
  Served served;
  served.file = &file;
  served.name = options.name.empty() ? NameOfModel(options.model.engine.model_path) : options.name;
  served.context = std::min(file.info().context, cache_tokens);
  if (options.model.session.context > 0) {
    served.context = std::min(served.context, options.model.session.context);
  }
  served.defaults = options.defaults;
  return served;
}

ServiceOptions MakeServiceOptions(const Options& options, int cache_tokens) {
  ServiceOptions service;
  if (!options.key_file.empty()) service.access.keys = ReadKeyFile(options.key_file);
  service.access.hosts = options.hosts;
  service.access.origins = options.origins;
  service.access.is_local = !options.http.unix_path.empty();
  service.log = options.model.quiet ? LogKind::kNone : options.log;
  service.write_log = [](const std::string& line) { cli::Say(line); };
  service.cache_tokens = cache_tokens;
  service.sequences = options.model.capacity.sequences;
  service.reuse = cli::NameOf(cli::ReuseChoices(), options.model.session.reuse);
  return service;
}

int Run(const Options& options) {
  const std::shared_ptr<const ModelFile> file = cli::OpenModel(
      cli::WithChatTemplate(options.model.engine, options.chat_template), options.model.quiet);
  EngineCapacity capacity = options.model.capacity;
  capacity.cache_tokens = ChooseCacheTokens(options, *file);
  Service service(MakeServed(options, *file, capacity.cache_tokens),
                  MakeServiceOptions(options, capacity.cache_tokens));
  const std::unique_ptr<HttpServer> server = HttpServer::Listen(options.http, service);
  service.Attach(server.get());
  std::unique_ptr<Scheduler> scheduler;
  IoThread io(*server);

  SchedulerOptions scheduling;
  scheduling.session = options.model.session;
  scheduling.session.context = 0;  // what each request needs
  scheduling.max_queue = options.max_queue;
  scheduling.wake = [&service](std::span<const uint64_t> tags) { service.Wake(tags); };
  const auto engine = cli::LoadEngine(file, capacity, options.model.quiet);
  scheduler = Scheduler::Start(engine, scheduling);
  server->OnSignal([&service] { service.Drain(); });
  server->Post(
      [&service, &scheduler, &engine] { service.SetReady(scheduler.get(), engine.get()); });
  server->Post([&server] { PrintListening(server->address()); });
  io.Join();
  service.Close();
  return cli::kExitDone;
}

void AddDefaults(CLI::App& command, Options& options) {
  GenerateOptions& defaults = options.defaults;
  defaults.max_tokens = kMostTokens;
  defaults.sampling.temperature = 1;
  cli::AddInteger(command, "--max-tokens", defaults.max_tokens, 1, cli::kMaxContext,
                  "most tokens of an answer where a request does not say (default: what the "
                  "context has room for)");
  cli::AddNumber(command, "--temperature", defaults.sampling.temperature, 0, 100,
                 "where a request does not say (default: 1, as in OpenAI's API)");
  cli::AddInteger(command, "--top-k", defaults.sampling.top_k, 0, cli::kMaxContext,
                  "where a request does not say (default: 0, off)");
  cli::AddNumber(command, "--top-p", defaults.sampling.top_p, 0, 1,
                 "where a request does not say (default: 1, off)");
  cli::AddNumber(command, "--min-p", defaults.sampling.min_p, 0, 1,
                 "where a request does not say (default: 0, off)");
  cli::AddNumber(command, "--repeat-penalty", defaults.sampling.repeat_penalty, 0.01, 100,
                 "where a request does not say (default: 1, off)");
  cli::AddValue(
      command, "--gamma", "auto|0..16",
      [&defaults](const std::string& text) { defaults.gamma = cli::ParseGamma("--gamma", text); },
      "tokens drafted a round, 0 = plain decoding; answers do not depend on it (default: auto)");
}

void AddAddress(CLI::App& command, Options& options) {
  cli::AddText(command, "--host", options.http.host,
               "the address to listen on (default: 127.0.0.1, this machine alone)")
      ->type_name("H");
  cli::AddInteger(command, "--port", options.http.port, 0, 65535,
                  "the port, 0 = any free one (default: 8080)");
  cli::AddText(command, "--unix", options.http.unix_path,
               "listen on this unix socket instead, for the owner's programs alone")
      ->type_name("PATH");
  cli::AddText(command, "--api-key-file", options.key_file,
               "keys that requests need, one a line; the file must be readable by its owner alone")
      ->type_name("FILE");
  cli::AddTexts(command, "--allow-host", options.hosts,
                "a name that the Host header may have besides addresses and localhost, '*' = any; "
                "repeatable")
      ->type_name("NAME");
  cli::AddTexts(command, "--allow-origin", options.origins,
                "a web site whose pages may use the server, e.g. https://chat.example; repeatable")
      ->type_name("ORIGIN");
  cli::AddInteger(command, "--max-queue", options.max_queue, 1, kMostQueue,
                  "answers that may wait for a place; more get 503 (default: 64)");
  cli::AddInteger(command, "--max-connections", options.http.connections, 1, kMostConnections,
                  "open connections; more get 503 (default: 4096)");
}

}  // namespace

cli::Command AddServe(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->model.capacity.sequences = 8;
  CLI::App* command =
      app.add_subcommand("serve", "Answer over HTTP, as OpenAI's and llama.cpp's servers do");
  AddAddress(*command, *options);
  cli::AddInteger(*command, "--sequences", options->model.capacity.sequences, 1, cli::kMaxSequences,
                  "answers that are decoded together (default: 8)");
  cli::AddText(*command, "--model-name", options->name,
               "the model's name for clients (default: the file's)")
      ->type_name("NAME");
  cli::AddChoice<LogKind>(
      *command, "--log", options->log,
      {{"none", LogKind::kNone}, {"requests", LogKind::kRequests}, {"bodies", LogKind::kBodies}},
      "what goes to standard error: a line a request, without its texts, or "
      "with them (default: requests)");
  cli::AddChatTemplate(*command, options->chat_template);
  cli::AddPromptStoreOptions(*command, options->model, PromptReuse::kPrompts);
  AddDefaults(*command, *options);
  cli::AddModelOptions(*command, options->model, cli::JsonOption::kNo);
  command->footer(
      "Examples:\n"
      "  quantspec serve --model m.gguf\n"
      "  quantspec serve --model m.gguf --host 0.0.0.0 --port 80 --api-key-file keys\n"
      "  quantspec serve --model m.gguf --unix /run/quantspec.sock --sequences 32");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::server
