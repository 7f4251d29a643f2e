// Any input is a chat template: it is rendered over a conversation, or an Error.
#include <ctime>
#include <string>
#include <string_view>

#include "base/check.h"
#include "quantspec/error.h"
#include "text/jinja/jinja.h"
#include "text/jinja/json_values.h"

namespace quantspec::jinja {
namespace {

constexpr std::string_view kContext = R"({
  "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "n": 7, "x": -2.5,
  "name": "W\u00f6rld \ud83d\ude00", "lines": "a\nb\r\n\n c ", "numbers": [3, 1, 2],
  "d": {"b": 1, "a": [1, "x"], "items": 5}, "nothing": null,
  "messages": [{"role": "system", "content": "Be <b>brief</b>."},
               {"role": "user", "content": " Hi {} %s "},
               {"role": "assistant", "content": "<think>\nHm\n</think>\nYo", "tool_calls": [
                 {"function": {"name": "f", "arguments": {"q": "z", "l": [1, 2.5, true]}}}]},
               {"role": "user", "content": "Bye"}],
  "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
})";

void Try(std::string_view source) {
  static const Variables variables = [] {
    Variables made;
    const auto json = nlohmann::ordered_json::parse(kContext);
    for (const auto& [name, value] : json.items()) {
      made.emplace_back(name, FromJson(value, Origin::kValue));
    }
    return made;
  }();
  Limits limits;
  limits.steps = 20000;
  limits.bytes = 200000;
  try {
    const MarkedText text = Template(source, "fuzz").Render(variables, limits, 1764374400);
    size_t begin = 0;
    for (const MarkedText::Run& run : text.runs()) {
      QS_CHECK(run.end > begin);
      begin = run.end;
    }
    QS_CHECK(begin == text.size());
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace quantspec::jinja

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quantspec::jinja::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
