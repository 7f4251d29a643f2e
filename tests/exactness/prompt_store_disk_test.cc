// Answers do not depend on what was stored, in memory or on disk, by this process or another one.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "exactness/models.h"

namespace quantspec {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  std::vector<Token> tokens;
  std::string digest;
  int cached = 0;
  bool operator==(const Outcome& other) const {
    return tokens == other.tokens && digest == other.digest;
  }
};

class PromptStoreDisk : public ::testing::Test {
 protected:
  PromptStoreDisk() {
    std::string name = fs::temp_directory_path() / "prompt-store-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~PromptStoreDisk() override { fs::remove_all(folder_); }

  std::shared_ptr<const Engine> Load(const std::string& model, bool with_store,
                                     WeightMode weights = WeightMode::kAuto,
                                     int threads = 2) const {
    EngineOptions options;
    options.model_path = model;
    options.weights = weights;
    options.threads = threads;
    if (with_store) options.prompt_store = folder_;
    return Engine::Load(ModelFile::Open(options), {8 * 1024, 1});
  }

  static Outcome Answer(const Engine& engine, std::span<const Token> prompt, size_t cut,
                        const std::string& salt = "", int tokens = 24) {
    SessionOptions options;
    options.context = static_cast<int>(prompt.size()) + tokens;
    options.salt = salt;
    const auto session = engine.Open(options);
    cut = std::min(cut, prompt.size() - 1);
    Outcome outcome;
    if (cut > 0) session->Prefill(prompt.first(cut));
    session->Prefill(prompt.subspan(cut));
    GenerateOptions generate;
    generate.max_tokens = tokens;
    generate.ignore_end = true;
    const GenerateResult result = session->Generate(generate);
    outcome.tokens = result.tokens;
    outcome.digest = session->CacheDigest();
    outcome.cached = result.stats.cached_tokens;
    return outcome;
  }

  fs::path folder_;
};

struct Prompt {
  size_t first, length;
};

TEST_F(PromptStoreDisk, WarmIsColdOverSplitsOrdersAndRestarts) {
  const auto text = testing::TinyText(2000);
  const auto cold = Load(testing::TinyModel(), /*with_store=*/false);
  const std::vector<Prompt> prompts = {{0, 257},  {0, 700},   {0, 1024}, {0, 1300},
                                       {5, 1023}, {256, 600}, {0, 256},  {17, 1500}};
  std::vector<Outcome> expected;
  for (const Prompt& prompt : prompts) {
    expected.push_back(Answer(*cold, std::span(text).subspan(prompt.first, prompt.length), 0));
  }
  std::mt19937 random(11);
  int from_store = 0;
  const int runs = testing::IsFullRun() ? 1000 : 120;
  std::shared_ptr<const Engine> warm;
  for (int run = 0; run < runs; ++run) {
    if (run % 5 == 0) {
      warm.reset();
      warm = Load(testing::TinyModel(), /*with_store=*/true);
    }
    const size_t i = random() % prompts.size();
    const auto prompt = std::span(text).subspan(prompts[i].first, prompts[i].length);
    const Outcome outcome = Answer(*warm, prompt, random() % prompt.size());
    ASSERT_EQ(outcome, expected[i]) << "run " << run << ", prompt " << i;
    from_store += outcome.cached > 0 ? 1 : 0;
  }
  EXPECT_GT(from_store, runs / 3) << "hardly anything was found";
}

TEST_F(PromptStoreDisk, SaltsShareNothing) {
  const auto text = testing::TinyText(1100);
  const auto engine = Load(testing::TinyModel(), /*with_store=*/true);
  const Outcome first = Answer(*engine, text, 0, "a key");
  EXPECT_EQ(Answer(*engine, text, 0, "a key").cached, 1024);
  EXPECT_EQ(Answer(*engine, text, 0, "another").cached, 0);
  EXPECT_EQ(Answer(*engine, text, 0).cached, 0);
  const auto again = Load(testing::TinyModel(), /*with_store=*/true);
  const Outcome warm = Answer(*again, text, 0, "a key");
  EXPECT_EQ(warm, first);
  EXPECT_EQ(warm.cached, 1024);
  EXPECT_EQ(Answer(*again, text, 0, "a third").cached, 0);
}

TEST_F(PromptStoreDisk, WhatComputesItIsPartOfTheKey) {
  const auto text = testing::TinyText(600);
  Answer(*Load(testing::TinyModel(), true), text, 0);
  EXPECT_EQ(Answer(*Load(testing::TinyModel(), true, WeightMode::kNested), text, 0).cached, 0);
  // A byte of the model's file that no metadata shows.
  const fs::path other = folder_ / "other.gguf";
  fs::copy_file(testing::TinyModel(), other);
  std::fstream file(other, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-3, std::ios::end);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(-3, std::ios::end);
  file.put(byte);
  file.close();
  EXPECT_EQ(Answer(*Load(other, true), text, 0).cached, 0);
  EXPECT_EQ(Answer(*Load(testing::TinyModel(), true, WeightMode::kAuto, 1), text, 0).cached, 512)
      << "the number of threads is not";
}

TEST_F(PromptStoreDisk, DamageIsNeverAWrongToken) {
  const auto text = testing::TinyText(800);
  const Outcome expected = Answer(*Load(testing::TinyModel(), true), text, 0);
  std::mt19937 random(2);
  for (int run = 0; run < 30; ++run) {
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      if (!entry.is_regular_file() || entry.path().extension() != ".qsg") continue;
      const auto size = fs::file_size(entry);
      if (random() % 3 == 0) {
        fs::resize_file(entry, random() % size);
        continue;
      }
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      const auto at = static_cast<std::streamoff>(random() % size);
      file.seekg(at);
      const char byte = static_cast<char>(file.get() ^ (1 << random() % 8));
      file.seekp(at);
      file.put(byte);
    }
    const auto engine = Load(testing::TinyModel(), true);
    const Outcome outcome = Answer(*engine, text, 0);
    ASSERT_EQ(outcome, expected);
    EXPECT_EQ(outcome.cached, 0);
    EXPECT_EQ(engine->prompt_store().warning, "");
  }
}

TEST_F(PromptStoreDisk, FailsNoRequestWhereItCannotWrite) {
  if (geteuid() != 0) fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  // For root, no permission is missing: what stands in the way is a file in a folder's place.
  const auto text = testing::TinyText(600);
  const Outcome expected = Answer(*Load(testing::TinyModel(), false), text, 0);
  {
    const auto first = Load(testing::TinyModel(), true);
    EXPECT_EQ(Answer(*first, text, 0), expected);
  }
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (!entry.is_directory()) continue;
    fs::remove_all(entry);
    std::ofstream(entry.path()) << "no folder";
  }
  const auto engine = Load(testing::TinyModel(), true);
  EXPECT_EQ(Answer(*engine, text, 0), expected);
  fs::permissions(folder_, fs::perms::owner_all);
}

TEST_F(PromptStoreDisk, ReadsTheDemoModelsChunks) {
  const std::string model = testing::DemoModel();
  if (model.empty()) GTEST_SKIP() << "SKIPPED: QUANTSPEC_TEST_MODEL names no model";
  const auto text = testing::DemoText(model, 900);
  const Outcome expected = Answer(*Load(model, false), text, 0);
  EXPECT_EQ(Answer(*Load(model, true), text, 300), expected);
  const Outcome warm = Answer(*Load(model, true), text, 0);
  EXPECT_EQ(warm, expected);
  EXPECT_EQ(warm.cached, 768);
}

// Their chunks have no files: no buffers are planned, and the model's file is not hashed.
TEST_F(PromptStoreDisk, CostsModelsWithWindowsNothing) {
  const fs::path model = folder_ / "model.gguf";
  fs::copy_file(testing::ModelWithWindows(), model);
  const auto with = Load(model, true), without = Load(model, false);
  SessionOptions options;
  options.context = 300;
  EXPECT_EQ(with->Plan(options).bytes.total(), without->Plan(options).bytes.total());
  fs::resize_file(model, 100);
  EXPECT_NO_THROW(with->Open(options));
  EXPECT_NE(with->prompt_store().warning, "");
}

// Digests of caches that only prompts have filled, as kArithmeticVersion stands: where this fails
// for good reasons, raise it in src/engine/fingerprint.h, so that no stored chunk of the old
// arithmetic is ever read, and put the new digests here.
TEST_F(PromptStoreDisk, KnowsTheArithmetic) {
  EngineOptions options;
  options.model_path = testing::TinyModel();
  options.backend = BackendKind::kReference;
  const auto engine = Engine::Load(ModelFile::Open(options));
  SessionOptions session_options;
  session_options.context = 600;
  const auto session = engine->Open(session_options);
  session->Prefill(testing::TinyText(512));
  EXPECT_EQ(session->CacheDigest(), "d82aa6d172eac89b") << "see above";
}

}  // namespace
}  // namespace quantspec
