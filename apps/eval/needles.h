// Tasks after RULER: facts hidden in a novel, and whether an answer brings them back. The same seed
// gives the same prompt everywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/text.h"
#include "quantspec/types.h"

namespace quantspec::eval {

enum class NeedleTask {
  kSingle,      // one number, asked for by its key
  kManyKeys,    // a number for each of several keys, one of them asked for
  kManyValues,  // several numbers for one key, all asked for
  kWords,       // a list of words to copy
};
// "single", "keys", "values", "words".
std::string NeedleName(NeedleTask task);

struct NeedleOptions {
  NeedleTask task = NeedleTask::kSingle;
  int needles = 4;  // hidden sentences of kManyKeys and kManyValues, words of kWords; 1 to 64
  uint64_t seed = 0;
};

struct NeedleText {
  std::string text;    // of the novel, with the needles
  std::string suffix;  // the question
  std::vector<std::string> answers;
};

// `haystack` must have a sentence; the needles stand between sentences of it, at depths that the
// seed chooses.
NeedleText HideNeedles(std::string_view haystack, const NeedleOptions& options);

struct NeedlePrompt {
  std::vector<Token> tokens;
  std::vector<std::string> answers;
};

// A prompt of at most `context` tokens and at least 9 tenths of them: as many whole sentences of
// the novel as fit. In the chat template, or as raw text where `chat` is null. None if the novel is
// too short, or the context for the needles.
std::optional<NeedlePrompt> BuildNeedles(std::string_view novel, const Tokenizer& tokenizer,
                                         const ChatFormat* chat, int context,
                                         const NeedleOptions& options);

// The share of `answers` that are found in `text`, whatever their case; 1 for no answers.
double ScoreNeedles(std::string_view text, std::span<const std::string> answers);

}  // namespace quantspec::eval
