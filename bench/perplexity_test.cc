#include "bench/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "bench/base_logits.h"
#include "quantspec/engine.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kVocab = 16;

// A token a character: 'a' is 1. BOS is 0.
class LetterTokenizer : public Tokenizer {
 public:
  explicit LetterTokenizer(bool adds_bos) : adds_bos_(adds_bos) {}
  int vocab() const override { return kVocab; }
  std::vector<Token> Encode(std::string_view text, SpecialTokens) const override {
    std::vector<Token> tokens;
    for (const char c : text) tokens.push_back(c - 'a' + 1);
    return tokens;
  }
  std::string Piece(Token token) const override { return {static_cast<char>('a' + token - 1)}; }
  std::string Decode(std::span<const Token> tokens) const override {
    std::string text;
    for (const Token token : tokens) text += Piece(token);
    return text;
  }
  bool IsSpecial(Token token) const override { return token == 0; }
  bool IsEnd(Token) const override { return false; }
  Token bos() const override { return 0; }
  Token eos() const override { return -1; }
  bool adds_bos() const override { return adds_bos_; }

 private:
  bool adds_bos_;
};

// Logits that tell the whole history apart, of the draft others than of the target.
std::vector<float> LogitsOf(std::span<const Token> history, Reader reader) {
  uint64_t hash = reader == Reader::kDraft ? 99 : 1;
  for (const Token token : history) {
    hash = (hash ^ static_cast<uint64_t>(token)) * 0x100000001b3u + 1;
  }
  std::vector<float> logits(kVocab);
  for (float& logit : logits) {
    hash = hash * 6364136223846793005u + 1442695040888963407u;
    logit = static_cast<float>(hash >> 40) / static_cast<float>(1 << 22);
  }
  return logits;
}

// Seals four tokens at a time, eight tokens late, and refuses what a session refuses.
class LetterSession : public Session {
 public:
  explicit LetterSession(int context) : context_(context) {}
  int context() const override { return context_; }
  int length() const override { return static_cast<int>(tokens_.size()); }
  MemoryBytes memory() const override { return {}; }
  bool Prefill(std::span<const Token>, const OnPrefill&) override { return false; }
  GenerateResult Generate(const GenerateOptions&, const OnToken&) override { return {}; }
  std::span<const float> Step(Reader reader, std::span<const Token> tokens) override {
    EXPECT_GE(step_room(), static_cast<int>(tokens.size()));
    EXPECT_EQ(committed_, length()) << "a step inside a step";
    logits_.clear();
    for (const Token token : tokens) {
      tokens_.push_back(token);
      const std::vector<float> row = LogitsOf(tokens_, reader);
      logits_.insert(logits_.end(), row.begin(), row.end());
    }
    (reader == Reader::kDraft ? draft_steps : target_steps)++;
    drafted_ = reader == Reader::kDraft;
    return logits_;
  }
  int RewindLength(int most) const override { return most; }
  void Rewind(int to) override {
    EXPECT_FALSE(drafted_ && to > committed_) << "drafted tokens kept";
    tokens_.resize(static_cast<size_t>(to));
    committed_ = to;
    sealed_ = std::max(sealed_, committed_ / 4 * 4 - 8);
    drafted_ = false;
  }
  int step_room() const override { return std::min(context_, length() / 4 * 4 + 4) - length(); }
  int sealed() const override { return sealed_; }
  void Clear() override {
    tokens_.clear();
    committed_ = sealed_ = 0;
  }
  std::unique_ptr<Session> Fork() override { return nullptr; }
  std::unique_ptr<Session> Fork(const DraftOptions&) override { return nullptr; }
  std::string CacheDigest() const override { return ""; }
  uint64_t BytesPerToken(Reader) const override { return 0; }

  int target_steps = 0, draft_steps = 0;

 private:
  int context_;
  std::vector<Token> tokens_;
  std::vector<float> logits_;
  int committed_ = 0, sealed_ = 0;
  bool drafted_ = false;
};

// -log p of window[row + 1] after window[0 .. row], its first token replaced.
double NllOf(std::vector<Token> window, size_t row, Token first, Reader reader) {
  const Token next = window[row + 1];
  if (first >= 0) window[0] = first;
  const std::vector<float> logits = LogitsOf(std::span<const Token>(window).first(row + 1), reader);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  return std::log(sum) - logits[static_cast<size_t>(next)];
}

TEST(CutWindows, GptqHasDisjointWindowsWithoutBos) {
  const LetterTokenizer tokenizer(/*adds_bos=*/true);
  const PerplexityText text = CutWindows(tokenizer, "abcdefgh", PerplexityProtocol::kGptq, 3, 0);
  EXPECT_THAT(text.tokens, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(text.first, -1);
  EXPECT_EQ(text.windows(), 2);
  EXPECT_EQ(text.targets(), 4);
  EXPECT_EQ(CutWindows(tokenizer, "abcdefgh", PerplexityProtocol::kGptq, 3, 1).windows(), 1);
}

TEST(CutWindows, LlamaPutsBosInFrontAndScoresTheSecondHalf) {
  const LetterTokenizer tokenizer(/*adds_bos=*/true);
  const PerplexityText text = CutWindows(tokenizer, "abcdefgh", PerplexityProtocol::kLlama, 4, 0);
  EXPECT_THAT(text.tokens, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(text.first, 0);
  EXPECT_EQ(text.scored_from(), 2);
  EXPECT_EQ(text.targets(), 2);
  const PerplexityText plain =
      CutWindows(LetterTokenizer(false), "abcdefgh", PerplexityProtocol::kLlama, 4, 0);
  EXPECT_EQ(plain.first, -1);
  EXPECT_EQ(plain.tokens[0], 1);
  PerplexityText usual = plain;
  usual.window = 512;
  usual.tokens.assign(512, 1);
  EXPECT_EQ(usual.targets(), 255);
}

TEST(CutWindows, SaysThatATextIsTooShort) {
  try {
    CutWindows(LetterTokenizer(false), "abc", PerplexityProtocol::kGptq, 0, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("3 tokens, less than one window of 2048"));
  }
  EXPECT_THROW(CutWindows(LetterTokenizer(false), "abc", PerplexityProtocol::kGptq, 2, 0), Error);
}

std::string Letters(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += static_cast<char>('a' + i * i * 7 % 13);
  return text;
}

TEST(ScorePerplexity, IsTheMeanOverEveryTargetOfEveryWindow) {
  const LetterTokenizer tokenizer(true);
  for (const auto protocol : {PerplexityProtocol::kGptq, PerplexityProtocol::kLlama}) {
    const PerplexityText text = CutWindows(tokenizer, Letters(100), protocol, 30, 0);
    LetterSession session(64);
    const PerplexityScores scores = ScorePerplexity(session, text, {.draft = true});
    double target = 0, draft = 0;
    for (int window = 0; window < text.windows(); ++window) {
      const auto begin = text.tokens.begin() + window * 30;
      const std::vector<Token> tokens(begin, begin + 30);
      for (int row = text.scored_from(); row < 29; ++row) {
        target += NllOf(tokens, static_cast<size_t>(row), text.first, Reader::kTarget);
        draft += NllOf(tokens, static_cast<size_t>(row), text.first, Reader::kDraft);
      }
    }
    const auto count = static_cast<double>(text.targets());
    EXPECT_EQ(scores.target.count(), text.targets());
    EXPECT_NEAR(scores.target.mean_error().mean, target / count, 1e-6);
    EXPECT_NEAR(scores.draft.mean_error().mean, draft / count, 1e-6);
    EXPECT_NEAR(Perplexity(scores.target).mean, std::exp(target / count), 1e-4);
    EXPECT_EQ(session.draft_steps, text.targets());
    // Sealed from 12 committed tokens on: rows 12 to 28 of each window.
    const int from = std::max(12, text.scored_from());
    EXPECT_EQ(scores.sealed_targets, text.windows() * (29 - from));
  }
}

TEST(ScorePerplexity, StepsAsFarAsThereIsRoomWithoutTheDraft) {
  const PerplexityText text =
      CutWindows(LetterTokenizer(false), Letters(29), PerplexityProtocol::kGptq, 29, 0);
  LetterSession session(28);
  const PerplexityScores scores = ScorePerplexity(session, text);
  EXPECT_EQ(session.target_steps, 7);
  EXPECT_EQ(scores.target.count(), 28);
  EXPECT_EQ(scores.draft.count(), 0);
}

TEST(ScorePerplexity, StopsWhereTheCallerSays) {
  const PerplexityText text =
      CutWindows(LetterTokenizer(false), Letters(60), PerplexityProtocol::kGptq, 20, 0);
  LetterSession session(28);
  double last = 0;
  const PerplexityScores scores =
      ScorePerplexity(session, text, {}, {}, [&](double share) { return (last = share) < 0.5; });
  EXPECT_GE(last, 0.5);
  EXPECT_LT(scores.target.count(), text.targets());
  EXPECT_GT(scores.target.count(), 19);
}

TEST(ScorePerplexity, RefusesASessionThatIsTooShort) {
  const PerplexityText text =
      CutWindows(LetterTokenizer(false), Letters(60), PerplexityProtocol::kGptq, 30, 0);
  LetterSession session(28);
  EXPECT_THROW(ScorePerplexity(session, text), Error);
}

// A base file of a session compared with the same session: llama.cpp's way to check its files.
TEST(ScorePerplexity, WritesABaseFileThatItAgreesWith) {
  const LetterTokenizer tokenizer(true);
  const PerplexityText text = CutWindows(tokenizer, Letters(50), PerplexityProtocol::kLlama, 20, 0);
  const std::string path = testing::TempDir() + "/perplexity-base";
  LetterSession session(64);
  BaseLogitsWriter writer(path, {text.window, kVocab, text.windows(), text.tokens});
  ScorePerplexity(session, text, {}, [&](auto target, auto, Token) { writer.Add(target); });
  writer.Finish();

  BaseLogitsReader reader(path);
  const PerplexityText again = WindowsOf(tokenizer, reader.header().tokens, 20);
  BaseScores scores;
  BaseRow row;
  ScorePerplexity(session, again, {}, [&](auto target, auto, Token next) {
    reader.Next(row);
    scores.Add(row, target, next);
  });
  EXPECT_EQ(scores.rows(), text.targets());
  EXPECT_NEAR(scores.kld().mean, 0, 1.3e-4);  // half a step of the codes
  EXPECT_EQ(scores.top1().mean, 1);
  EXPECT_NEAR(scores.perplexity() / scores.base_perplexity(), 1, 1e-4);
}

std::shared_ptr<const Engine> LoadFloat(const std::string& path) {
  EngineOptions options;
  options.model_path = path;
  options.weights = WeightMode::kFloat;
  options.threads = 1;
  return Engine::Load(ModelFile::Open(options));
}

// The last rows of a window against logits that an independent implementation computed
// (tests/golden/make_models.py).
TEST(ScorePerplexity, MatchesGoldenLogits) {
  const std::string folder = std::string(QS_GOLDEN_DIR) + "/models/";
  std::ifstream cases(folder + "cases.json");
  std::ifstream values(folder + "logits.f32", std::ios::binary);
  int found = 0;
  for (const auto& entry : nlohmann::json::parse(cases)) {
    const std::string model = entry["model"];
    if (entry["view"] != "full" || (model != "llama-gqa.gguf" && model != "llama-long.gguf")) {
      continue;
    }
    ++found;
    const int rows = entry["rows"], vocab = entry["vocab"];
    std::vector<float> logits(static_cast<size_t>(rows) * vocab);
    values.seekg(entry["offset"].get<std::streamoff>() * 4);
    values.read(reinterpret_cast<char*>(logits.data()),
                static_cast<std::streamsize>(logits.size() * 4));
    PerplexityText text;
    text.tokens = entry["tokens"].get<std::vector<Token>>();
    text.window = static_cast<int>(text.tokens.size());
    double expected = 0;
    for (int row = 0; row + 1 < rows; ++row) {
      const Distribution distribution(
          std::span<const float>(logits).subspan(static_cast<size_t>(row) * vocab, vocab));
      const Token next = text.tokens[text.tokens.size() - rows + row + 1];
      expected -= distribution.LogProbability(static_cast<size_t>(next));
    }

    const auto engine = LoadFloat(folder + model);
    const auto session = engine->Open({.context = text.window, .cache = CacheKind::kFull});
    std::vector<double> nll;
    const PerplexityScores scores =
        ScorePerplexity(*session, text, {}, [&](auto target, auto, Token next) {
          nll.push_back(-Distribution(target).LogProbability(static_cast<size_t>(next)));
        });
    EXPECT_NEAR(std::accumulate(nll.end() - (rows - 1), nll.end(), 0.0), expected, 1e-2) << model;
    EXPECT_NEAR(scores.target.mean_error().mean,
                std::accumulate(nll.begin(), nll.end(), 0.0) / static_cast<double>(nll.size()),
                1e-9);
    EXPECT_EQ(scores.sealed_targets, 0);
  }
  EXPECT_EQ(found, 2);
}

// Over the sealed cache of a real model nearly all rows read sealed groups, and cost little.
TEST(ScorePerplexity, CountsTheTargetsThatSawSealedGroups) {
  const std::string folder = std::string(QS_GOLDEN_DIR) + "/models/";
  std::ifstream cases(folder + "cases.json");
  PerplexityText text;
  for (const auto& entry : nlohmann::json::parse(cases)) {
    if (entry["model"] == "llama-long.gguf") {
      text.tokens = entry["tokens"].get<std::vector<Token>>();
    }
  }
  text.tokens.resize(600);
  text.window = 600;
  const auto engine = LoadFloat(folder + "llama-long.gguf");
  const auto sealed = engine->Open({.context = 1024});
  const PerplexityScores scores = ScorePerplexity(*sealed, text, {.draft = true});
  // The first group is sealed at 256 tokens: rows 256 to 598 read it.
  EXPECT_EQ(scores.sealed_targets, 599 - 256);
  const auto full = engine->Open({.context = 1024, .cache = CacheKind::kFull});
  const PerplexityScores dense = ScorePerplexity(*full, text, {.draft = true});
  EXPECT_EQ(dense.sealed_targets, 0);
  EXPECT_NEAR(scores.target.mean_error().mean, dense.target.mean_error().mean, 0.02);
  EXPECT_NEAR(dense.draft.mean_error().mean, dense.target.mean_error().mean, 1e-6);
}

}  // namespace
}  // namespace quantspec
