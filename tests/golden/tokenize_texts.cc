// Tokens of many texts by one tokenizer file, for comparing them with other libraries'; see
// compare_tokenizers.py.
//
//   tokenize_texts FILE TEXTS.json   a line {"ids": [...], "text": ...} for each text of the list
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/gguf_tokenizer.h"
#include "formats/hf_tokenizer.h"
#include "formats/sentencepiece_model.h"
#include "io/gguf_file.h"
#include "quant/ggml_blocks.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

using Json = nlohmann::json;

TokenizerSpec SpecOf(const std::string& path) {
  if (path.ends_with(".json")) return ReadHfTokenizer(path);
  if (path.find(".model") != std::string::npos) return ReadSentencePieceModel(path);
  const GgufFile file = OpenGguf(path, GgmlTypeSize);
  std::vector<std::string> warnings;
  return ReadGgufTokenizer(file.gguf, file.header, &warnings);
}

void Print(const std::string& path, const std::string& texts_path) {
  const auto tokenizer = MakeTokenizer(SpecOf(path));
  std::ifstream file(texts_path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const Json& one : Json::parse(text)) {
    const std::vector<Token> ids =
        tokenizer->Encode(one.get_ref<const std::string&>(), SpecialTokens::kAsText);
    std::cout << Json{{"ids", ids}, {"text", tokenizer->Decode(ids)}}.dump(
                     -1, ' ', true, Json::error_handler_t::replace)
              << "\n";
  }
}

}  // namespace
}  // namespace quantspec

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: tokenize_texts FILE TEXTS.json\n";
    return 2;
  }
  try {
    quantspec::Print(argv[1], argv[2]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
