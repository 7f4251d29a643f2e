#include "text/vocabulary_tokenizer.h"

#include <limits>
#include <string>

#include "quantspec/error.h"

namespace quantspec {

bool VocabularyTokenizer::IsSpecial(Token token) const {
  vocabulary_.Check(token);
  return vocabulary_.IsSpecial(token);
}

bool VocabularyTokenizer::IsEnd(Token token) const {
  vocabulary_.Check(token);
  return vocabulary_.IsEnd(token);
}

void VocabularyTokenizer::CheckSize(std::string_view text) {
  if (text.size() <= std::numeric_limits<int32_t>::max() / 3) return;
  throw Error(ErrorKind::kUsage, "tokenizer: found a text of " + std::to_string(text.size()) +
                                     " bytes, expected less than 700 MB; cut it into parts");
}

}  // namespace quantspec
