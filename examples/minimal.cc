// Loads a GGUF model and streams an answer: minimal MODEL.gguf "a question"
#include <cstdio>
#include <string_view>
#include <vector>

#include "quantspec/engine.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: minimal MODEL.gguf QUESTION\n");
    return 2;
  }
  try {
    quantspec::EngineOptions options;
    options.model_path = argv[1];
    const auto engine = quantspec::Engine::Load(quantspec::ModelFile::Open(options));
    const auto session = engine->Open({.context = 2048});

    const quantspec::ChatMessage question{quantspec::ChatMessage::Role::kUser, argv[2]};
    const auto& file = engine->file();
    session->Prefill(file.chat()
                         ? file.chat()->Format({&question, 1})
                         : file.tokenizer().Encode(argv[2], quantspec::SpecialTokens::kAsText));

    quantspec::TextStream stream(file.tokenizer());
    session->Generate(quantspec::GenerateOptions(), [&](quantspec::Token token) {
      if (file.tokenizer().IsEnd(token)) return false;
      const std::string_view text = stream.Push(token);
      std::fwrite(text.data(), 1, text.size(), stdout);
      return true;
    });
    std::puts("");
  } catch (const quantspec::Error& error) {
    std::fprintf(stderr, "minimal: error: %s\n", error.what());
    return 1;
  }
}
