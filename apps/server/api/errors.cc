#include "server/api/errors.h"

#include <utility>

namespace quantspec::server {
namespace {

constexpr const char* kRetryAfter_s = "1";

Json OrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

// What is the server's doing, not the request's.
ApiError ServerError(int status, const std::string& message, const std::string& code) {
  ApiError error;
  error.status = status;
  error.message = message;
  error.type = "server_error";
  error.code = code;
  return error;
}

}  // namespace

void Refuse(const std::string& param, const std::string& message) {
  ApiError error;
  error.message = message;
  error.param = param;
  throw ApiFailure(std::move(error));
}

void RefuseUnsupported(const std::string& param, const std::string& message) {
  ApiError error;
  error.message = message;
  error.param = param;
  error.code = "unsupported_parameter";
  throw ApiFailure(std::move(error));
}

ApiError ErrorOf(ErrorKind kind, const std::string& message) {
  if (kind == ErrorKind::kBusy) return ServerError(503, message, "queue_full");
  if (kind != ErrorKind::kUsage && kind != ErrorKind::kUnsupported) {
    return ServerError(500, message, "");
  }
  ApiError error;
  error.message = message;
  return error;
}

ApiError ContextOverflow(size_t prompt_tokens, int context) {
  ApiError error;
  error.message = "This model's maximum context length is " + std::to_string(context) +
                  " tokens. However, your messages resulted in " + std::to_string(prompt_tokens) +
                  " tokens. Please reduce the length of the messages.";
  error.param = "messages";
  error.code = "context_length_exceeded";
  error.more = {{"n_prompt_tokens", prompt_tokens}, {"n_ctx", context}};
  return error;
}

ApiError Loading() {
  return ServerError(503, "the model is being loaded; try again in a moment", "loading");
}

ApiError ShuttingDown() { return ServerError(503, "the server is shutting down", "shutting_down"); }

std::string DumpJson(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::string ErrorText(const ApiError& error) {
  Json json = {{"message", error.message},
               {"type", error.type},
               {"param", OrNull(error.param)},
               {"code", OrNull(error.code)}};
  for (const auto& [name, value] : error.more.items()) json[name] = value;
  return DumpJson({{"error", json}});
}

HttpResponse ErrorResponse(const ApiError& error) {
  HttpResponse response;
  response.status = error.status;
  response.body = ErrorText(error);
  if (error.status == 503) response.headers.emplace_back("Retry-After", kRetryAfter_s);
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

HttpResponse JsonResponse(const Json& json) {
  HttpResponse response;
  response.body = DumpJson(json);
  return response;
}

}  // namespace quantspec::server
