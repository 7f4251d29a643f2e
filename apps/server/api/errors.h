// Failures of requests, in OpenAI's shape.
#pragma once

#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "quantspec/error.h"
#include "server/http/message.h"

namespace quantspec::server {

using Json = nlohmann::ordered_json;

struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;           // the field at fault; empty: null
  std::string code;            // empty: null
  Json more = Json::object();  // fields besides
};

// Thrown where a request is read.
class ApiFailure : public std::exception {
 public:
  explicit ApiFailure(ApiError failure) : error(std::move(failure)) {}
  const char* what() const noexcept override { return error.message.c_str(); }
  ApiError error;
};

// 400 about the field `param`.
[[noreturn]] void Refuse(const std::string& param, const std::string& message);
// 400 for what this server does not do.
[[noreturn]] void RefuseUnsupported(const std::string& param, const std::string& message);

// What the engine refused or failed at.
ApiError ErrorOf(ErrorKind kind, const std::string& message);
// 400, as LiteLLM and others recognise it by its text.
ApiError ContextOverflow(size_t prompt_tokens, int context);
// 503s.
ApiError Loading();
ApiError ShuttingDown();

// {"error": {message, type, param, code, ...}}; bytes that are not UTF-8 become U+FFFD.
std::string ErrorText(const ApiError& error);
HttpResponse ErrorResponse(const ApiError& error);
HttpResponse JsonResponse(const Json& json);
std::string DumpJson(const Json& json);

}  // namespace quantspec::server
