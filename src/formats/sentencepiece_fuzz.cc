// Any bytes are a tokenizer.model or an Error; what is a tokenizer gives tokens of its vocabulary.
#include <memory>
#include <string>

#include "base/check.h"
#include "formats/sentencepiece_model.h"
#include "quantspec/error.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantspec;
  const auto bytes = std::make_shared<const std::string>(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = MakeTokenizer(ParseSentencePieceModel(bytes, "fuzz"));
    for (const std::string& text : {std::string("Hello  w\xC3\xB6rld\n <s> x"),
                                    std::string("\xFF\xE2\x96\x81 a"), bytes->substr(0, 2000)}) {
      for (const SpecialTokens special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
        const std::vector<Token> tokens = tokenizer->Encode(text, special);
        for (const Token token : tokens) QS_CHECK(token >= 0 && token < tokenizer->vocab());
        tokenizer->Decode(tokens);
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
