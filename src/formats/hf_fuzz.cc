// Any bytes are a tokenizer.json, a config.json or an Error; what is a tokenizer gives tokens of
// its vocabulary, and texts come back from them.
#include <memory>
#include <string>

#include "base/check.h"
#include "formats/hf_config.h"
#include "formats/hf_quant.h"
#include "formats/hf_tokenizer.h"
#include "formats/json_tree.h"
#include "quantspec/error.h"
#include "quantspec/text.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

void UseTokenizer(const std::string& text) {
  const auto tokenizer =
      MakeTokenizer(ParseHfTokenizer(std::make_shared<const std::string>(text), "fuzz"));
  const std::string texts[] = {"Hello  w\xC3\xB6rld 12\n\n 's <s> x", "\xFF\xE2\x96\x81 a",
                               text.substr(0, 2000)};
  for (const std::string& one : texts) {
    for (const SpecialTokens special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
      const std::vector<Token> tokens = tokenizer->Encode(one, special);
      for (const Token token : tokens) QS_CHECK(token >= 0 && token < tokenizer->vocab());
      tokenizer->Decode(tokens);
    }
  }
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
