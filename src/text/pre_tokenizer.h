// Cuts text into the pieces that byte-pair merges may not cross, as the pre-tokenizers of the model
// families do.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace quantspec {

class PreTokenizer {
 public:
  // `name` is that of a family's rules; `where` begins messages. Throws Error{kUnsupported} for
  // an unknown name, with the list of known ones.
  PreTokenizer(std::string_view name, const std::string& where);
  // The rules themselves. Throws Error{kUnsupported} for a pattern that PCRE2 does not take.
  PreTokenizer(const WordRules& rules, const std::string& where);
  ~PreTokenizer();
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;

  // Text is brought into Unicode's composed normal form first.
  bool composes() const { return composes_; }
  // A piece that is a token as a whole stays one, whatever the merges say.
  bool keeps_whole_tokens() const { return keeps_whole_tokens_; }
  // Prompts start with BOS unless the file says otherwise.
  bool adds_bos() const { return adds_bos_; }

  // One caller's working memory; a PreTokenizer is shared between threads, a Scratch is not.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class PreTokenizer;
    struct State;
    std::unique_ptr<State> state_;
  };

  // Where the pieces of `text` (valid UTF-8, below 4 GiB) end, ascending; the last one is
  // text.size(). Valid until the next call with `scratch`.
  const std::vector<uint32_t>& Split(std::string_view text, Scratch& scratch) const;

 private:
  struct Stage;
  std::vector<Stage> stages_;
  bool composes_ = false;
  bool keeps_whole_tokens_ = false;
  bool adds_bos_ = false;
};

}  // namespace quantspec
