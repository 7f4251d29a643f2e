// Any bytes are a tokenizer.model or an Error; what is a tokenizer gives tokens of its vocabulary.
#include <memory>
#include <string>

#include "formats/fuzz_texts.h"
#include "formats/sentencepiece_model.h"
#include "quantspec/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantspec;
  const auto bytes = std::make_shared<const std::string>(reinterpret_cast<const char*>(data), size);
  try {
    TryTexts(*MakeTokenizer(ParseSentencePieceModel(bytes, "fuzz")), *bytes);
  } catch (const Error&) {
  }
  return 0;
}
