// quantspec quality --protocol: perplexity over windows of a text, and base-logits files.
#pragma once

#include <string>

#include "bench/perplexity.h"
#include "cli/common.h"

namespace quantspec::cli {

struct WindowOptions {
  bool is_asked = false;  // --protocol was given
  PerplexityProtocol protocol = PerplexityProtocol::kGptq;
  int window = 0;   // tokens; 0: the protocol's usual length
  int windows = 0;  // 0: all
  PerplexityOptions scores;
  std::string base;       // a base-logits file to compare with, or ""
  std::string save_base;  // one to write, or ""

  bool any() const { return is_asked || !base.empty() || !save_base.empty(); }
};

void AddWindowOptions(CLI::App& app, WindowOptions& options);
// Scores the text in `file`, or the tokens of the base file. Throws UsageError for options that do
// not go together.
int RunWindows(const ModelOptions& model, const WindowOptions& options, const std::string& file);

}  // namespace quantspec::cli
