// Reading prompts: behind other tokens, and with a beginning that another sequence has read.
//
//   prompts_bench MODEL BOOK [REPEAT]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <vector>

#include "bench/scores.h"
#include "quantspec/engine.h"

namespace quantspec {
namespace {

constexpr int kContext = 8192;
constexpr size_t kPart = 2048;
constexpr size_t kDocument = 6000;
constexpr size_t kQuestion = 100;

double Seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Token> ReadTokens(const ModelFile& file, const char* path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return file.tokenizer().Encode(text.str().substr(0, 200000), SpecialTokens::kAsText);
}

SessionOptions OptionsOf(PromptReuse reuse) {
  SessionOptions options;
  options.context = kContext;
  options.reuse = reuse;
  return options;
}

// Speed of the second 2,048 tokens given by themselves, over that inside one prompt.
void TimeContinuing(const Engine& engine, std::span<const Token> text, int repeat) {
  std::vector<double> whole, first, second;
  for (int i = 0; i < repeat; ++i) {
    const auto one = engine.Open(OptionsOf(PromptReuse::kNone));
    whole.push_back(Seconds([&] { one->Prefill(text.first(2 * kPart)); }));
    const auto two = engine.Open(OptionsOf(PromptReuse::kNone));
    first.push_back(Seconds([&] { two->Prefill(text.first(kPart)); }));
    second.push_back(Seconds([&] { two->Prefill(text.subspan(kPart, kPart)); }));
  }
  const double inside = Median(whole) - Median(first);
  std::printf(
      "continuing: %zu tokens behind %zu others in %.2f s, inside one prompt in %.2f s: "
      "%.2f of the speed\n",
      kPart, kPart, Median(second), inside, inside / Median(second));
}

// Time to the first token of a second sequence over the same document.
void TimeSharing(const Engine& engine, std::span<const Token> text, int repeat) {
  std::vector<double> cold, warm;
  int cached = 0;
  for (int i = 0; i < repeat; ++i) {
    // Another document each time: the store keeps the ones before.
    const auto prompt =
        text.subspan(static_cast<size_t>(i) * 300, kDocument / 256 * 256 + kQuestion);
    GenerateOptions generate;
    generate.max_tokens = 1;
    for (std::vector<double>* times : {&cold, &warm}) {
      const auto session = engine.Open(OptionsOf(PromptReuse::kPrompts));
      times->push_back(Seconds([&] {
        session->Prefill(prompt);
        cached = session->Generate(generate).stats.cached_tokens;
      }));
    }
  }
  std::printf(
      "sharing: first token after %zu tokens in %.2f s, with %d of them shared in %.3f s: "
      "%.1f %%\n",
      kDocument / 256 * 256 + kQuestion, Median(cold), cached, Median(warm),
      100 * Median(warm) / Median(cold));
}

// A copy of a sequence of that length.
void TimeFork(const Engine& engine, std::span<const Token> text, int repeat) {
  const auto session = engine.Open(OptionsOf(PromptReuse::kPrompts));
  session->Prefill(text.first(kDocument));
  std::vector<double> times;
  for (int i = 0; i < repeat; ++i) times.push_back(Seconds([&] { session->Fork(); }));
  std::printf("fork: of %zu tokens in %.2f ms\n", kDocument, 1e3 * Median(times));
}

int Run(const char* model, const char* book, int repeat) {
  EngineOptions options;
  options.model_path = model;
  const std::shared_ptr<const ModelFile> file = ModelFile::Open(options);
  const std::vector<Token> text = ReadTokens(*file, book);
  if (text.size() < kDocument + 600 * static_cast<size_t>(repeat)) {
    std::fprintf(stderr, "%s: too short, expected some 10,000 tokens\n", book);
    return 1;
  }
  const auto engine = Engine::Load(file, {4 * kContext, 1});
  std::printf("%s, %d threads, medians of %d\n", std::string(engine->isa()).c_str(),
              engine->threads(), repeat);
  TimeContinuing(*engine, text, repeat);
  TimeSharing(*engine, text, repeat);
  TimeFork(*engine, text, repeat);
  return 0;
}

}  // namespace
}  // namespace quantspec

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: prompts_bench MODEL BOOK [REPEAT]\n");
    return 2;
  }
  return quantspec::Run(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 3);
}
