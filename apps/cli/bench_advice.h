// What pays for a model and a text, in words.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "quantspec/engine.h"

namespace quantspec::cli {

// A way to decode, and how fast it was.
struct Candidate {
  std::string name;  // "gamma 3"
  DraftOptions draft;
  int gamma = 0;
  std::vector<double> tokens_per_s;
};

// Plain decoding first, `gamma` with the draft asked for, then what else may pay: looking up, and
// reading more or less of the cache where the draft reads a part of `depth` tokens.
std::vector<Candidate> MakeCandidates(const DraftOptions& draft, int gamma, int depth);

// Generates `tokens` tokens after `prompt` with every candidate, in turn, `turns` times. The
// prompt's chunks are read once where the cache can share them. Throws Cancelled.
void TimeCandidates(const Engine& engine, const SessionOptions& session,
                    std::span<const Token> prompt, int tokens, int turns,
                    std::vector<Candidate>* candidates);

// "for this model and text at 8,000 tokens: gamma 3, 1.36 times plain decoding (71 tokens/s);
// n-gram lookup would give 1.10, ..."
std::string Advise(std::span<const Candidate> candidates, int depth);

}  // namespace quantspec::cli
