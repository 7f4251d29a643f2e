// Any bytes are a tokenizer.json, a config.json or an Error; what is a tokenizer gives tokens of
// its vocabulary, and texts come back from them.
#include <memory>
#include <string>

#include "base/check.h"
#include "formats/fuzz_texts.h"
#include "formats/hf_config.h"
#include "formats/hf_quant.h"
#include "formats/hf_tokenizer.h"
#include "formats/json_tree.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

void UseTokenizer(const std::string& text) {
  const auto file = std::make_shared<const std::string>(text);
  TryTexts(*MakeTokenizer(ParseHfTokenizer(file, "fuzz")), text);
}

void UseConfig(const std::string& text) {
  JsonReader in(text, "fuzz");
  const JsonTree tree = ReadJsonTree(in);
  in.Finish();
  ReadHfQuant(tree, "fuzz");
  const HfConfig config = ReadHfConfig(tree, "fuzz");
  QS_CHECK(config.model.info.layers > 0 && config.model.info.context > 0);
  QS_CHECK(config.model.classes[0].rope.rotated <= config.model.info.head_dim);
}

}  // namespace
}  // namespace quantspec

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantspec;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto use : {UseTokenizer, UseConfig}) {
    try {
      use(text);
    } catch (const Error&) {
    }
  }
  return 0;
}
