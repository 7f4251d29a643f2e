// Sequences that decode together, for quantspec bench.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "quantspec/engine.h"

namespace quantspec::cli {

struct TogetherOptions {
  SessionOptions session;  // context: of each sequence
  GenerateOptions generate;
};

struct Together {
  double total_tokens_per_s = 0;  // of all sequences, while all of them decode
  double acceptance = -1;         // -1: nothing was drafted
  double prefill_tokens_per_s = 0;
  std::vector<std::vector<Token>> tokens;  // of each sequence
  std::vector<std::string> digests;        // of their caches at the end
};

// Answers every prompt by itself, one after the other.
Together RunAlone(const Engine& engine, const TogetherOptions& options,
                  std::span<const std::vector<Token>> prompts);
// Submits all prompts to a scheduler at once. Throws Cancelled after Ctrl-C, and what a request
// failed with.
Together RunTogether(const std::shared_ptr<const Engine>& engine, const TogetherOptions& options,
                     std::span<const std::vector<Token>> prompts);

// True if both have the same tokens and digests.
bool AreIdentical(const Together& a, const Together& b);

}  // namespace quantspec::cli
