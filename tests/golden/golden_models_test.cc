// Tiny random models of every architecture against logits of an independent implementation
// (make_models.py, make_hf_models.py).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <ostream>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "quantspec/engine.h"

namespace quantspec {
namespace {

const std::string kRoot = std::string(QS_GOLDEN_DIR) + "/";
const std::string kFolder = kRoot + "models/";

struct Case {
  std::string model;  // from kRoot
  std::string view;   // "full", or what a reader of the hierarchical cache sees
  std::vector<Token> tokens;
  int rows = 0;
  int vocab = 0;
  int context = 0;            // to run it with; 0: the model's
  std::vector<float> logits;  // [rows, vocab], of the last `rows` tokens
  size_t first_seen = 0;      // the first token that the last row depends on
  float full_share = 1;       // of the layers, those without a window
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.model << " " << c.view; }

// The cases of `folder`, a folder of kRoot.
void ReadCases(const std::string& folder, std::vector<Case>* cases) {
  std::ifstream values(kRoot + folder + "logits.f32", std::ios::binary);
  std::ifstream text(kRoot + folder + "cases.json");
  for (const auto& entry : nlohmann::json::parse(text)) {
    Case c{folder + entry["model"].get<std::string>(),
           entry["view"],
           entry["tokens"],
           entry["rows"],
           entry["vocab"],
           entry.value("context", 0),
           {},
           entry.value("first_seen", size_t{0}),
           entry.value("full_share", 1.0f)};
    c.logits.resize(static_cast<size_t>(c.rows) * c.vocab);
    values.seekg(entry["offset"].get<std::streamoff>() * 4);
    values.read(reinterpret_cast<char*>(c.logits.data()),
                static_cast<std::streamsize>(c.logits.size() * 4));
    cases->push_back(std::move(c));
  }
}

std::vector<Case> ReadCases() {
  std::vector<Case> cases;
  ReadCases("models/", &cases);
  ReadCases("hf_models/", &cases);
  return cases;
}

bool IsFull(const Case& c) { return c.view == "full"; }
// Of a model whose layers all have windows: no row is sealed.
bool IsInWindows(const Case& c) { return c.first_seen > 0; }

// Of the largest logit of a row: float32 against float64, with room for codes that fall on the
// other side of a rounding boundary, which are a sixteenth of a step of the upper plane to the
// target and a whole step to the draft. The cpu backend rounds queries and probabilities to 8 bits
// where it reads sealed groups. Layers with a window read none.
float Tolerance(const Case& c, BackendKind backend) {
  if (IsFull(c) || IsInWindows(c)) return 1e-3f;
  if (backend == BackendKind::kCpu) return 4e-2f * c.full_share;
  return c.view == "hierarchical draft" ? 1e-2f * c.full_share : 2e-3f;
}

// The largest difference of two rows over the largest magnitude of `expected`.
float RelativeError(const float* expected, const float* actual, int count) {
  float largest = 0.0f, difference = 0.0f;
  for (int i = 0; i < count; ++i) {
    if (!std::isfinite(actual[i])) return INFINITY;
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(expected[i] - actual[i]));
  }
  return difference / largest;
}

// Prefills all but the last rows and steps through these in steps of 1, 3 and the rest.
std::vector<float> LastLogits(Session& session, const Case& c) {
  const std::span<const Token> tokens(c.tokens);
  size_t done = tokens.size() - c.rows;
  EXPECT_TRUE(session.Prefill(tokens.first(done)));
  const Reader reader = c.view == "hierarchical draft" ? Reader::kDraft : Reader::kTarget;
  std::vector<float> logits;
  for (size_t count : {size_t{1}, size_t{3}, size_t(c.rows - 4)}) {
    const auto rows = session.Step(reader, tokens.subspan(done, count));
    EXPECT_EQ(rows.size(), count * c.vocab);
    logits.insert(logits.end(), rows.begin(), rows.end());
    done += count;
    // Rows of drafts cannot be committed.
    if (reader == Reader::kTarget) session.Rewind(static_cast<int>(done));
  }
  EXPECT_EQ(session.length(), static_cast<int>(tokens.size()));
  return logits;
}

// The largest relative error of the case's rows.
float ErrorOf(const Case& c, BackendKind backend) {
  EngineOptions options;
  options.model_path = kRoot + c.model;
  options.weights = WeightMode::kFloat;
  options.backend = backend;
  options.threads = 2;
  const auto engine = Engine::Load(ModelFile::Open(options));
  SessionOptions session_options;
  session_options.context = c.context;
  session_options.cache = IsFull(c) ? CacheKind::kFull : CacheKind::kHierarchical;
  const auto session = engine->Open(session_options);
  const std::vector<float> logits = LastLogits(*session, c);
  EXPECT_EQ(logits.size(), c.logits.size());
  float error = 0.0f;
  for (size_t at = 0; at < logits.size(); at += c.vocab) {
    error = std::max(error, RelativeError(&c.logits[at], &logits[at], c.vocab));
  }
  return error;
}

using Param = std::tuple<Case, BackendKind>;
class GoldenModels : public testing::TestWithParam<Param> {};

TEST_P(GoldenModels, GiveTheLogitsOfAnIndependentImplementation) {
  const auto& [c, backend] = GetParam();
  const float error = ErrorOf(c, backend);
  RecordProperty("relative_error", std::to_string(error));
  EXPECT_LE(error, Tolerance(c, backend));
}

// The tolerance is tight enough to notice one wrong token at the very beginning of the prompt, or
// of what windows leave of it, ...
TEST_P(GoldenModels, NoticeADifferentFirstToken) {
  auto [c, backend] = GetParam();
  // The first one of several hundred that all layers' windows reach through each other is seen by
  // a single path; one in the middle of a window by many.
  const size_t token = (c.first_seen + (IsInWindows(c) ? c.tokens.size() : 0)) / 2;
  c.tokens[token] = (c.tokens[token] + 1) % c.vocab;
  EXPECT_GT(ErrorOf(c, backend), Tolerance(c, backend));
}

// ... and not to see what no window reaches.
TEST_P(GoldenModels, DoNotSeeBehindTheirWindows) {
  auto [c, backend] = GetParam();
  if (!IsInWindows(c)) return;
  const auto rows = static_cast<size_t>(c.rows);
  for (size_t token = 0; token + rows <= c.first_seen; ++token) {
    c.tokens[token] = (c.tokens[token] + 1) % c.vocab;
  }
  EXPECT_LE(ErrorOf(c, backend), Tolerance(c, backend));
}

// ... and, where groups are sealed, to tell the two readers apart.
TEST_P(GoldenModels, NoticeTheOtherReader) {
  auto [c, backend] = GetParam();
  if (IsFull(c) || IsInWindows(c)) return;
  c.view = c.view == "hierarchical draft" ? "hierarchical target" : "hierarchical draft";
  EXPECT_GT(ErrorOf(c, backend), Tolerance(c, backend));
}

std::string ParamName(const testing::TestParamInfo<Param>& info) {
  const auto& [c, backend] = info.param;
  std::string name = c.model.substr(c.model.find('/') + 1) + "_" + c.view;
  std::replace_if(
      name.begin(), name.end(), [](char x) { return x == '-' || x == ' ' || x == '.'; }, '_');
  return name + (backend == BackendKind::kCpu ? "_cpu" : "_reference");
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModels,
                         testing::Combine(testing::ValuesIn(ReadCases()),
                                          testing::Values(BackendKind::kReference,
                                                          BackendKind::kCpu)),
                         ParamName);

// What opening `model` throws, or "".
std::string Refusal(const std::string& model) {
  EngineOptions options;
  options.model_path = kFolder + model;
  try {
    ModelFile::Open(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported) << error.what();
    return error.what();
  }
  return "";
}

TEST(RefusedModels, SayWhatIsMissing) {
  EXPECT_THAT(Refusal("refused-architecture.gguf"), testing::HasSubstr("falcon"));
}

TEST(LongRope, OneEngineKeepsToOneSideOfTheOriginalContext) {
  EngineOptions options;
  options.model_path = kFolder + "phi3-short.gguf";
  options.weights = WeightMode::kFloat;
  options.threads = 1;
  const auto engine = Engine::Load(ModelFile::Open(options), {512, 2});
  SessionOptions session;
  session.context = 64;
  engine->Open(session);
  session.context = 32;
  engine->Open(session);
  session.context = 65;
  try {
    engine->Open(session);
    FAIL() << "opened with factors of RoPE that are for shorter contexts";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), testing::HasSubstr("found 65 tokens"));
  }
}

}  // namespace
}  // namespace quantspec
