#include "model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "formats/random_model.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

LoadedModel SmallModel() {
  LayerClass layer;
  layer.rope.rotated = 64;
  return RandomModel(UniformConfig({"small", "llama", 2, 128, 256, 4, 2, 64, 160, 1024}, layer));
}

SourceTensor& Tensor(LoadedModel& model, const std::string& name) {
  return const_cast<SourceTensor&>(*model.Find(name));
}

std::string PlanError(const LoadedModel& model, ErrorKind kind) {
  try {
    WeightPlan plan(model, WeightOptions(), *MakeReferenceBackend());
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(WeightPlan, NamesTensorsAsTheSourceDoes) {
  LoadedModel missing = SmallModel();
  missing.name_in_source = [](std::string_view name) { return "theirs:" + std::string(name); };
  Tensor(missing, "layers.1.attn.k").name = "";
  missing.SortTensors();
  EXPECT_THAT(PlanError(missing, ErrorKind::kCorrupt),
              HasSubstr("tensor theirs:layers.1.attn.k is missing, expected [128, 128]"));
  LoadedModel misshapen = SmallModel();
  Tensor(misshapen, "layers.0.ffn.up").shape = {255, 128};
  Tensor(misshapen, "layers.0.ffn.up").source_name = "up";
  EXPECT_THAT(PlanError(misshapen, ErrorKind::kCorrupt),
              HasSubstr("tensor up: found shape [255, 128], expected [256, 128]"));
  LoadedModel deeper = SmallModel();
  Tensor(deeper, "layers.1.ffn_norm").name = "layers.2.ffn_norm";
  deeper.tensors.push_back(*deeper.Find("layers.0.ffn_norm"));
  deeper.tensors.back().name = "layers.1.ffn_norm";
  deeper.SortTensors();
  EXPECT_THAT(PlanError(deeper, ErrorKind::kUnsupported),
              HasSubstr("tensor layers.1.ffn_norm is not part of architecture \"llama\" with 2"));
}

TEST(WeightPlan, NeedsAnEmbeddingThatFits) {
  LoadedModel model = SmallModel();
  SourceTensor head = *model.Find("embedding");
  head.name = "head";
  model.tensors.push_back(head);
  model.SortTensors();
  EXPECT_EQ(PlanError(model, ErrorKind::kCorrupt), "no error");
  Tensor(model, "embedding").shape = {160, 64};
  EXPECT_THAT(PlanError(model, ErrorKind::kCorrupt), HasSubstr("embedding: found shape [160, 64]"));
  Tensor(model, "embedding").name = "";
  model.SortTensors();
  EXPECT_THAT(PlanError(model, ErrorKind::kCorrupt), HasSubstr("embedding is missing"));
}

// A matrix of ones with 8-bit codes of its own, in groups of 64.
class OwnCodes : public TensorReader {
 public:
  explicit OwnCodes(int bits) : bits_(bits) {}
  void Decode(int64_t, Rows out) const override {
    for (int64_t i = 0; i < out.rows * out.columns; ++i) out.data[i] = 1.0f;
  }
  SourceCodes codes() const override { return {bits_, 64}; }

 private:
  int bits_;
};

TEST(WeightPlan, CodesOfASourceKeepTheirGroups) {
  LoadedModel model = SmallModel();
  Tensor(model, "layers.0.attn.q").reader = std::make_shared<OwnCodes>(4);
  Tensor(model, "layers.1.attn.q").reader = std::make_shared<OwnCodes>(8);
  WeightOptions options;
  options.draft_exact_layers = 1;
  for (const int group : {32, 64}) {
    options.group = group;
    const WeightPlan plan(model, options, *MakeReferenceBackend());
    EXPECT_EQ(plan.Find("layers.0.attn.q")->StoredType(), "hq4 g64");
    EXPECT_TRUE(plan.Find("layers.0.attn.q")->imports_target);
    EXPECT_EQ(plan.Find("layers.1.attn.q")->StoredType(), "hq8 g" + std::to_string(group));
    EXPECT_EQ(plan.Find("layers.1.attn.q")->imports_target, group == 64);
  }
}

TEST(Model, LooksUpEmbeddingsInTheSource) {
  const LoadedModel source = SmallModel();
  ThreadPool pool(2);
  const auto backend = MakeReferenceBackend();
  const Model model(source, WeightOptions(), *backend, pool, {});
  const std::vector<Token> tokens = {3, 159, 3};
  std::vector<float> found(3 * 128), expected(128);
  model.Embed(tokens, Rows(found.data(), 3, 128));
  for (size_t i = 0; i < tokens.size(); ++i) {
    source.Find("embedding")->reader->Decode(tokens[i], Rows(expected.data(), 1, 128));
    EXPECT_EQ(std::vector<float>(found.begin() + 128 * i, found.begin() + 128 * (i + 1)), expected);
  }
}

// Fails where a file would that somebody cut.
class Broken : public TensorReader {
 public:
  void Decode(int64_t first, Rows) const override {
    if (first >= 64) throw Error(ErrorKind::kIo, "m: found its end");
  }
};

TEST(Model, AReaderThatFailsInAThreadIsAnErrorOfLoading) {
  LoadedModel source = SmallModel();
  Tensor(source, "layers.1.ffn.up").reader = std::make_shared<Broken>();
  ThreadPool pool(3);
  const auto backend = MakeCpuBackend(pool);
  for (int i = 0; i < 20; ++i) {
    EXPECT_THROW(Model(source, WeightOptions(), *backend, pool, {}), Error);
  }
}

}  // namespace
}  // namespace quantspec
