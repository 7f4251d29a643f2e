// The models and texts of the tests of exactness.
#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "quantspec/engine.h"

namespace quantspec::testing {

inline std::string TinyModel() { return std::string(QS_GOLDEN_DIR) + "/models/llama-long.gguf"; }

// Tiny models of families beyond llama and qwen3, in tests/golden/models.
inline constexpr const char* kFamilyModels[] = {
    "granite-tied.gguf", "phi3-long.gguf",  "smollm3-tied.gguf", "mistral3.gguf",
    "olmo2.gguf",        "olmo3-wide.gguf", "gemma2-wide.gguf",  "gemma3-wide.gguf",
    "olmo3.gguf",        "gemma2.gguf",     "gemma3-sealed.gguf"};

// Layers with a window of 100 tokens in turn with others; and all layers with one of 300.
inline std::string ModelWithWindows() {
  return std::string(QS_GOLDEN_DIR) + "/models/llama-windows.gguf";
}
inline std::string ModelOfWindows() {
  return std::string(QS_GOLDEN_DIR) + "/models/llama-window.gguf";
}

// Tokens of a tiny model, whose vocabulary has 260.
inline std::vector<Token> TinyText(int tokens) {
  std::vector<Token> text;
  for (int i = 0; i < tokens; ++i) text.push_back((i * 29 + i / 7 * 13 + 3) % 250);
  return text;
}

// Empty if the environment names none.
inline std::string DemoModel() {
  const char* model = std::getenv("QUANTSPEC_TEST_MODEL");
  return model == nullptr ? "" : model;
}

// True for the long runs that docs/results.md names.
inline bool IsFullRun() { return std::getenv("QUANTSPEC_FULL") != nullptr; }

// The first tokens of a book.
inline std::vector<Token> DemoText(const std::string& model, size_t tokens) {
  const char* folder = std::getenv("QUANTSPEC_BOOKS");
  std::ifstream file(std::string(folder ? folder : "") + "/moby-dick.txt");
  if (!file) file.open(std::string(QS_GOLDEN_DIR) + "/../../examples/a-case-of-identity.txt");
  std::stringstream text;
  text << file.rdbuf();
  EngineOptions options;
  options.model_path = model;
  std::vector<Token> all = ModelFile::Open(options)->tokenizer().Encode(text.str().substr(0, 60000),
                                                                        SpecialTokens::kAsText);
  if (all.size() > tokens) all.resize(tokens);
  return all;
}

}  // namespace quantspec::testing
