// What the service says about itself.
#include <ctime>

#include "server/api/service.h"
#include "server/page/page.h"

namespace quantspec::server {

HttpResponse Service::Health(const HttpRequest&) {
  Json json = {{"status", "ok"}};
  if (scheduler_ == nullptr) json["status"] = "loading";
  if (is_draining_) json["status"] = "draining";
  HttpResponse response = JsonResponse(json);
  if (is_draining_ || scheduler_ == nullptr) response.status = 503;
  return response;
}

Json Service::ModelJson() const {
  const ModelInfo& info = served_.file->info();
  return {{"id", served_.name},
          {"object", "model"},
          {"created", std::time(nullptr) - static_cast<int64_t>(NowSeconds() - start_s_)},
          {"owned_by", "quantspec"},
          {"max_model_len", served_.context},
          {"meta",
           {{"n_ctx_train", info.context},
            {"n_vocab", served_.file->tokenizer().vocab()},
            {"n_embd", info.hidden},
            {"architecture", info.architecture}}}};
}

HttpResponse Service::Models(const HttpRequest&) {
  return JsonResponse({{"object", "list"}, {"data", Json::array({ModelJson()})}});
}

HttpResponse Service::Model(const HttpRequest& request) {
  const std::string name = request.path.substr(std::string_view("/v1/models/").size());
  if (name == served_.name) return JsonResponse(ModelJson());
  ApiError error;
  error.status = 404;
  error.message = "there is no model of this name; this server has " + served_.name;
  error.param = "model";
  error.code = "model_not_found";
  return ErrorResponse(error);
}

HttpResponse Service::Props(const HttpRequest&) {
  const GenerateOptions& defaults = served_.defaults;
  const SamplingOptions& sampling = defaults.sampling;
  return JsonResponse(
      {{"default_generation_settings",
        {{"n_ctx", served_.context},
         {"params",
          {{"n_predict", defaults.max_tokens >= kMostTokens ? -1 : defaults.max_tokens},
           {"temperature", sampling.temperature},
           {"top_k", sampling.top_k},
           {"top_p", sampling.top_p},
           {"min_p", sampling.min_p},
           {"repeat_penalty", sampling.repeat_penalty}}}}},
       {"n_ctx", served_.context},
       {"total_slots", options_.sequences},
       {"cache_tokens", options_.cache_tokens},
       {"reuse", options_.reuse},
       {"model_alias", served_.name},
       {"has_chat_template", served_.file->chat() != nullptr},
       {"build_info", "quantspec " + std::string(Version())}});
}

HttpResponse Service::Slots(const HttpRequest&) {
  Json slots = Json::array();
  for (const auto& [tag, generation] : generations_) {
    for (const SlotState& state : generation->Slots()) {
      slots.push_back({{"id", slots.size()},
                       {"n_ctx", state.reserved},
                       {"is_processing", state.generated > 0 || state.prompt_done > 0},
                       {"n_prompt_tokens", state.prompt_tokens},
                       {"n_prompt_tokens_processed", state.prompt_done},
                       {"n_decoded", state.generated}});
    }
  }
  return JsonResponse(slots);
}

HttpResponse Service::MetricsPage(const HttpRequest&) {
  Metrics::Gauges gauges;
  gauges.model = served_.name;
  gauges.connections = server_->connections();
  if (engine_ != nullptr) gauges.store = engine_->prompt_store();
  HttpResponse response;
  response.type = "text/plain; version=0.0.4; charset=utf-8";
  response.body =
      metrics_.Text(scheduler_ != nullptr ? scheduler_->counters() : SchedulerCounters{}, gauges);
  return response;
}

HttpResponse Service::Page(const HttpRequest&) {
  const std::string nonce = RandomId("");
  HttpResponse response;
  response.type = "text/html; charset=utf-8";
  response.body = PageWithNonce(nonce);
  response.headers = {
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" + nonce +
           "'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'"},
      {"Referrer-Policy", "no-referrer"},
      {"Cache-Control", "no-cache"}};
  return response;
}

HttpResponse Service::OpenApi(const HttpRequest&) {
  HttpResponse response;
  response.type = "application/yaml; charset=utf-8";
  response.body = OpenApiText();
  return response;
}

}  // namespace quantspec::server
