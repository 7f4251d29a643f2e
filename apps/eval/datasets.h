// The texts of the comparisons: built in, or files of the usual data sets as their users download
// them (docs/data.md), and prompts made of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "quantspec/text.h"
#include "quantspec/types.h"

namespace quantspec::eval {

struct EvalText {
  std::string dataset;
  std::string name;  // of the text in its data set
  std::string text;
  std::string suffix;                // what a prompt ends with, e.g. the wish for a summary
  std::vector<std::string> answers;  // what a right answer contains, where the set says so
};

enum class Protocol {
  // What the paper's scripts do [quantspec, Data/data_converter.py]: tokens are cut off, then the
  // suffix's follow, with a BOS of their own where the tokenizer adds one.
  kAuthors,
  // A chat turn in the model's template, or raw text with one BOS.
  kClean,
};

inline constexpr const char* kBuiltinData = "builtin";
// The built-in set of tasks that hide facts in its novel (needles.h).
inline constexpr const char* kNeedles = "needles";
// Of a text only so much is read: more than a million tokens.
inline constexpr size_t kMaxTextBytes = size_t{16} << 20;

// `data` is "builtin" or a folder; its sets in a fixed order. Throws Error{kIo} for a folder
// without any.
std::vector<std::string> DatasetNames(const std::string& data);

// The first `examples` texts of a set, fewer if it has no more; they may be too short for a
// context. wikitext2 and c4 are one text each, joined as perplexity is measured on them. Throws
// Error: kIo for a missing file, saying which one is to be put where; kCorrupt for malformed ones;
// kUnsupported for parquet, with the line that converts it.
std::vector<EvalText> LoadDataset(const std::string& data, const std::string& dataset,
                                  int examples);

// A hash of the set's files, or of its built-in texts: samples of them, as HashFile takes. Throws
// Error as LoadDataset does for a set that is not there.
uint64_t HashDataset(const std::string& data, const std::string& dataset);

// A prompt of exactly `context` tokens, or none if the text is too short for it. `part` n takes the
// n-th disjoint stretch of the text. Throws Error{kUsage} if not even the suffix fits.
std::optional<std::vector<Token>> BuildPrompt(const EvalText& text, const Tokenizer& tokenizer,
                                              const ChatFormat* chat, int context,
                                              Protocol protocol, int part);

}  // namespace quantspec::eval
