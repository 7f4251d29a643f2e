#include "server/api/token_calls.h"

namespace quantspec::server {

HttpResponse Tokenize(const Served& served, const HttpRequest& request) {
  const Tokenizer& tokenizer = served.file->tokenizer();
  const Json json = ParseObject(request.body);
  const Fields fields(json);
  // vLLM's clients call it prompt.
  const std::string text = fields.Text("content", fields.Text("prompt"));
  const bool parses = fields.Flag("parse_special", true);
  std::vector<Token> tokens =
      tokenizer.Encode(text, parses ? SpecialTokens::kParse : SpecialTokens::kAsText);
  if (fields.Flag("add_special", false) && tokenizer.adds_bos() && tokenizer.bos() >= 0) {
    tokens.insert(tokens.begin(), tokenizer.bos());
  }
  if (!fields.Flag("with_pieces", false)) {
    return JsonResponse({{"tokens", tokens}, {"count", tokens.size()}});
  }
  Json list = Json::array();
  for (const Token token : tokens) {
    list.push_back({{"id", token}, {"piece", tokenizer.Piece(token)}});
  }
  return JsonResponse({{"tokens", list}, {"count", tokens.size()}});
}

HttpResponse Detokenize(const Served& served, const HttpRequest& request) {
  const Tokenizer& tokenizer = served.file->tokenizer();
  const Json json = ParseObject(request.body);
  const Json* list = Fields(json).Find("tokens");
  if (list == nullptr || !list->is_array()) Refuse("tokens", "tokens: expected a list of tokens");
  const std::vector<Token> tokens = ReadTokens("tokens", *list, tokenizer.vocab());
  return JsonResponse({{"content", tokenizer.Decode(tokens)}});
}

}  // namespace quantspec::server
