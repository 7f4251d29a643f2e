// Which prompt an example of a data set is.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/cell.h"
#include "eval/text_shelf.h"

namespace quantspec::eval {

struct CellPrompt {
  std::string text;  // the name of what it was cut from
  std::vector<Token> tokens;
  std::vector<std::string> answers;  // what a right answer contains, where the set says so
};

// The texts of a set that are looked at, at most.
inline constexpr int kMostTexts = 256;

// Example n is the n-th text of the set that is long enough; where the set has fewer, further
// disjoint stretches of its texts follow. Of the built-in needles, it is a task of its own. None,
// and `why` says why, if there is no such example. Throws Error as LoadDataset does.
std::optional<CellPrompt> FindPrompt(const Cell& cell, const Tokenizer& tokenizer,
                                     const ChatFormat* chat, TextShelf& shelf, std::string* why);

// The share of `answers` in the text of `output` up to its first end token.
double ScoreOutput(std::span<const Token> output, const Tokenizer& tokenizer,
                   std::span<const std::string> answers);

}  // namespace quantspec::eval
