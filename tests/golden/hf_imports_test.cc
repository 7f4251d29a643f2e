// Codes of quantised folders, imported as they are, against the values that the folders stand for
// (make_hf_models.py).

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "formats/load_model.h"
#include "quant/hq8.h"
#include "quantspec/engine.h"

namespace quantspec {
namespace {

std::string Folder(const std::string& name) {
  return std::string(QS_GOLDEN_DIR) + "/hf_models/" + name;
}

struct Import {
  std::string folder;
  int bits;
  float most_steps;  // that an imported value may be away, in steps of its codes
};

class HfImports : public testing::TestWithParam<Import> {};

TEST_P(HfImports, AreTheValuesOfTheFile) {
  const LoadedModel model = LoadModel(Folder(GetParam().folder));
  int imported = 0;
  for (const SourceTensor& tensor : model.tensors) {
    const SourceCodes codes = tensor.reader->codes();
    if (codes.bits != GetParam().bits) continue;
    ++imported;
    const int64_t rows = tensor.rows(), columns = tensor.columns();
    const auto count = static_cast<size_t>(rows * columns);
    std::vector<float> values(count);
    tensor.reader->Decode(0, Rows(values.data(), rows, columns));
    std::vector<uint8_t> upper(count), lower(count, kLowerBias);
    std::vector<GroupScale> scales(count / static_cast<size_t>(codes.group));
    tensor.reader->Import(0, rows, upper.data(), codes.bits == 8 ? lower.data() : nullptr,
                          scales.data());
    for (size_t i = 0; i < count; ++i) {
      const GroupScale scale = scales[i / static_cast<size_t>(codes.group)];
      const float step = FloatFromF16(scale.scale) / (codes.bits == 8 ? 16.0f : 1.0f);
      ASSERT_LE(std::abs(DecodeValue(scale, upper[i], lower[i], Planes::kBoth) - values[i]),
                GetParam().most_steps * std::abs(step) + 1e-7f)
          << tensor.source_name << " value " << i;
    }
    // Any rows by themselves are those of the whole.
    std::vector<float> one(static_cast<size_t>(columns));
    tensor.reader->Decode(rows - 1, Rows(one.data(), 1, columns));
    EXPECT_TRUE(std::equal(one.begin(), one.end(), values.end() - columns)) << tensor.source_name;
  }
  EXPECT_GT(imported, 0);
}

std::vector<float> Logits(const std::string& folder, WeightMode weights, BackendKind backend) {
  EngineOptions options;
  options.model_path = Folder(folder);
  options.weights = weights;
  options.backend = backend;
  options.threads = 1;
  const auto engine = Engine::Load(ModelFile::Open(options));
  SessionOptions session_options;
  session_options.cache = CacheKind::kFull;
  const auto session = engine->Open(session_options);
  const std::vector<Token> tokens = {3, 141, 59, 26, 53, 58, 97, 93, 23, 84};
  session->Prefill(std::span(tokens).first(9));
  const auto rows = session->Step(Reader::kTarget, std::span(tokens).last(1));
  return {rows.begin(), rows.end()};
}

// What is left is the rounding of activations.
TEST_P(HfImports, GiveTheLogitsOfFloatWeights) {
  for (const BackendKind backend : {BackendKind::kReference, BackendKind::kCpu}) {
    const std::string& folder = GetParam().folder;
    const std::vector<float> expected = Logits(folder, WeightMode::kFloat, backend);
    const std::vector<float> actual = Logits(folder, WeightMode::kAuto, backend);
    double error = 0.0, size = 0.0;
    for (size_t i = 0; i < expected.size(); ++i) {
      error += std::pow(expected[i] - actual[i], 2);
      size += std::pow(expected[i], 2);
    }
    RecordProperty("error", std::to_string(std::sqrt(error / size)));
    EXPECT_LT(std::sqrt(error / size), 0.05) << folder;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Formats, HfImports,
    testing::Values(Import{"ct-int4", 4, 0.0f}, Import{"ct-int4-asymmetric", 4, 0.0075f},
                    Import{"ct-int8-channel", 8, 0.125f}, Import{"ct-int8-plain", 8, 0.125f},
                    Import{"mlx-4-and-8", 4, 0.0f}, Import{"mlx-4-and-8", 8, 0.125f},
                    Import{"awq", 4, 0.0075f}, Import{"gptq-v1", 4, 0.0075f},
                    Import{"gptq-v2-all-inputs", 4, 0.0075f},
                    Import{"gptq-int8-symmetric", 8, 0.125f}, Import{"phi3-ct-int4", 4, 0.0075f},
                    Import{"phi3-gptq", 4, 0.0075f}),
    [](const auto& parameter) {
      std::string name = parameter.param.folder + std::to_string(parameter.param.bits);
      std::erase(name, '-');
      return name;
    });

}  // namespace
}  // namespace quantspec
