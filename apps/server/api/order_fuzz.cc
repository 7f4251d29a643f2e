// Any bytes are the body of a request: an order within its limits, tokens or text, or an error of
// the request. The first byte chooses the path.
#include <cstdint>
#include <memory>
#include <string_view>

#include "quantspec/engine.h"
#include "server/api/order.h"
#include "server/api/token_calls.h"

namespace quantspec::server {
namespace {

const Served& TinyServed() {
  static const std::unique_ptr<const ModelFile> file = [] {
    EngineOptions options;
    options.model_path = QS_GOLDEN_DIR "/models/llama-long.gguf";
    options.chat_template =
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{{ thinking }}";
    return ModelFile::Open(options);
  }();
  static const Served served{file.get(), "tiny", 500, {}};
  return served;
}

void Check(bool ok) {
  if (!ok) __builtin_trap();
}

void ReadAsOrder(Dialect dialect, std::string_view body) {
  const Served& served = TinyServed();
  const Order order = ReadOrder(dialect, served, body, 1);
  Check(!order.prompts.empty() && order.answers >= 1 && order.generate.max_tokens >= 0);
  for (const std::string& stop : order.stops) Check(!stop.empty());
  for (const auto& prompt : order.prompts) {
    Check(!prompt.empty() && prompt.size() < static_cast<size_t>(served.context));
    for (const Token token : prompt) Check(token >= 0 && token < served.file->tokenizer().vocab());
  }
}

void ReadAsCall(HttpResponse (*call)(const Served&, const HttpRequest&), std::string_view body) {
  HttpRequest request;
  request.body = body;
  const HttpResponse response = call(TinyServed(), request);
  Check(response.status == 200 && Json::accept(response.body));
}

// `path`: 0 to 4.
void Try(int path, std::string_view body) {
  constexpr Dialect kDialects[] = {Dialect::kChat, Dialect::kText, Dialect::kNative};
  try {
    if (path < 3) return ReadAsOrder(kDialects[path], body);
    ReadAsCall(path == 3 ? Tokenize : Detokenize, body);
  } catch (const ApiFailure& failure) {
    Check(failure.error.status == 400 && !failure.error.message.empty());
    Check(Json::accept(ErrorText(failure.error)));
  } catch (const Error& error) {
    Check(error.kind() == ErrorKind::kUsage);  // the template's
  }
}

}  // namespace
}  // namespace quantspec::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  quantspec::server::Try(data[0] % 5, {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
