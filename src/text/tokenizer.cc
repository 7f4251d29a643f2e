#include "text/tokenizer.h"

#include "text/bpe_tokenizer.h"
#include "text/character_bpe_tokenizer.h"
#include "text/spm_tokenizer.h"

namespace quantspec {

std::unique_ptr<NamingTokenizer> MakeTokenizer(const TokenizerSpec& spec) {
  if (spec.kind == TokenizerKind::kSentencePiece) return std::make_unique<SpmTokenizer>(spec);
  if (spec.kind == TokenizerKind::kCharacterBpe) {
    return std::make_unique<CharacterBpeTokenizer>(spec);
  }
  return std::make_unique<BpeTokenizer>(spec);
}

}  // namespace quantspec
