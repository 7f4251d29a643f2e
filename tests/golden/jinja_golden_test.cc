// The template engine against Python's jinja2: every construct (make_jinja_golden.py), and the
// templates that people publish (scripts/fetch-templates).

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "quantspec/error.h"
#include "text/jinja/jinja.h"
#include "text/jinja/json_values.h"

namespace quantspec::jinja {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::time_t kNow = 1764374400;  // jinja_reference.py: NOW
constexpr double kSlowestMs = 10.0 * QS_TIME_FACTOR;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Variables VariablesOf(const Json& context) {
  Variables variables;
  for (const auto& [name, value] : context.items()) {
    variables.emplace_back(name, FromJson(value, Origin::kValue));
  }
  return variables;
}

// The text, or "error: ..." for templates that fail.
std::string Render(const std::string& source, const Variables& variables) {
  try {
    return Template(source, "t").Render(variables, {}, kNow).bytes();
  } catch (const Error& error) {
    return std::string("error: ") + error.what();
  }
}

class JinjaGolden : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

TEST_F(JinjaGolden, ConstructsAreRenderedAsPythonDoes) {
  const Json golden = Json::parse(ReadFile(QS_GOLDEN_DIR "/jinja.json"));
  const Variables variables = VariablesOf(golden[0]["context"]);
  size_t failing = 0;
  for (size_t i = 1; i < golden.size(); ++i) {
    const std::string source = golden[i]["source"];
    const std::string text = Render(source, variables);
    if (golden[i].contains("text")) {
      EXPECT_EQ(text, golden[i]["text"].get<std::string>()) << source;
    } else {
      ++failing;
      EXPECT_TRUE(text.starts_with("error: t: line ")) << source << "\ngives " << text;
    }
  }
  EXPECT_GT(golden.size(), 400u);
  EXPECT_LT(failing, golden.size() / 2);
}

TEST_F(JinjaGolden, PublishedTemplatesAreRenderedAsPythonDoes) {
  const char* home = std::getenv("QUANTSPEC_TEMPLATES");
  if (home == nullptr) {
    GTEST_SKIP() << "QUANTSPEC_TEMPLATES names no folder; scripts/fetch-templates makes one";
  }
  const std::filesystem::path folder(home);
  const Json cases = Json::parse(ReadFile(folder / "corpus.json"));
  size_t rendered = 0;
  for (const Json& one : cases) {
    const std::string name =
        one["template"].get<std::string>() + ", " + one["conversation"].get<std::string>();
    const std::string source = ReadFile(folder / one["template"].get<std::string>());
    const Variables variables = VariablesOf(one["context"]);
    std::string text;
    double least_ms = 1e9;
    for (int i = 0; i < 3; ++i) {
      const std::clock_t start = std::clock();  // of this program alone
      text = Render(source, variables);
      least_ms = std::min(least_ms, 1000.0 * static_cast<double>(std::clock() - start) /
                                        static_cast<double>(CLOCKS_PER_SEC));
    }
    EXPECT_LT(least_ms, kSlowestMs) << name;
    if (one.contains("text")) {
      ++rendered;
      EXPECT_EQ(text, one["text"].get<std::string>()) << name;
    } else {
      EXPECT_TRUE(text.starts_with("error: ")) << name << "\ngives " << text;
    }
  }
  EXPECT_EQ(cases.size(), 420u);
  EXPECT_EQ(rendered, 383u);
}

}  // namespace
}  // namespace quantspec::jinja
