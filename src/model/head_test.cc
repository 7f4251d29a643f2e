// The head in two passes: which logits are the target's, which are those of one plane.
#include "model/head.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace quantspec {
namespace {

constexpr int64_t kVocab = kPackRows * 100 + 5;  // the last pack is not full
constexpr int64_t kHidden = 128;

// A head whose draft reads one plane: of the target's own two, or of a copy.
struct Head {
  Head(Backend& backend, WeightFormat format) {
    std::vector<float> values(kVocab * kHidden);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(2 * RandomUniform(5, 0, i) - 1);
    }
    const ConstRows rows(values.data(), kVocab, kHidden);
    linear.is_refined = true;
    linear.draft_planes = Planes::kUpper;
    if (format == WeightFormat::kHq8) {
      linear.target = Quantized(backend, rows, WeightFormat::kHq8);
      linear.draft = linear.target;
    } else {
      linear.target = Take(backend, {format, kVocab, kHidden, 0});
      backend.PackDense(rows, 0, linear.target);
      linear.draft = Quantized(backend, rows, WeightFormat::kHq4);
    }
  }

  PackedWeight Take(Backend& backend, const WeightSpec& spec) {
    const WeightBytes bytes = backend.SizeOf(spec);
    memory.emplace_back(bytes.upper + bytes.lower);
    std::byte* upper = memory.back().data();
    return {spec, upper, bytes.lower > 0 ? upper + bytes.upper : nullptr};
  }
  PackedWeight Quantized(Backend& backend, ConstRows rows, WeightFormat format) {
    std::vector<uint8_t> upper(kVocab * kHidden), lower(kVocab * kHidden);
    std::vector<GroupScale> scales(upper.size() / 32);
    EncodeRows(rows, 32, upper.data(), lower.data(), scales.data());
    HqRows codes{kVocab, kHidden, 32, upper, {}, scales};
    if (format == WeightFormat::kHq8) codes.lower = lower;
    const PackedWeight weight = Take(backend, {format, kVocab, kHidden, 32});
    backend.PackQuantized(codes, 0, weight);
    return weight;
  }

  std::vector<Buffer> memory;
  Linear linear;
};

std::vector<float> SomeRows(int64_t rows) {
  std::vector<float> x(static_cast<size_t>(rows * kHidden));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(2 * RandomUniform(6, 0, i) - 1);
  }
  return x;
}

std::vector<float> LogitsOf(Backend& backend, const Linear& head, Reader reader,
                            const std::vector<float>& x) {
  const auto rows = static_cast<int64_t>(x.size()) / kHidden;
  std::vector<float> logits(static_cast<size_t>(rows * kVocab));
  const int64_t packs = CeilDiv(kVocab, kPackRows);
  std::vector<float> maxima(static_cast<size_t>(rows * packs));
  MultiplyHead(backend, head, reader, ConstRows(x.data(), rows, kHidden),
               Rows(logits.data(), rows, kVocab), Rows(maxima.data(), rows, packs),
               /*staging=*/nullptr);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t pack = 0; pack < packs; ++pack) {
      const int64_t last = std::min<int64_t>((pack + 1) * kPackRows, kVocab);
      float largest = -INFINITY;
      for (int64_t i = pack * kPackRows; i < last; ++i) {
        const float logit = logits[static_cast<size_t>(row * kVocab + i)];
        if (logit > largest) largest = logit;
      }
      EXPECT_EQ(maxima[static_cast<size_t>(row * packs + pack)], largest);
    }
  }
  return logits;
}

// First outputs of the packs with the largest of one row's logits.
std::set<int64_t> LargestByOrder(const float* logits) {
  std::vector<int64_t> order(kVocab);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
  std::set<int64_t> packs;
  for (size_t i = 0; packs.size() < size_t{kRefinedPacks}; ++i) {
    packs.insert(order[i] / kPackRows * kPackRows);
  }
  return packs;
}

class RefinedHead : public testing::TestWithParam<std::string_view> {
 protected:
  RefinedHead()
      : backend_(GetParam() == "reference" ? MakeReferenceBackend()
                                           : MakeCpuBackend(pool_, GetParam())) {
    ScratchLimits limits;
    limits.rows = limits.step_rows = 4;
    limits.inputs = kHidden;
    limits.positions = 128;
    limits.geometry = {1, 64};
    limits.q_heads = 1;
    backend_->Reserve(limits);
  }

  ThreadPool pool_{2};
  std::unique_ptr<Backend> backend_;
};

TEST_P(RefinedHead, HasTheTargetsBitsWhereItsLogitsAreLargest) {
  const std::vector<float> x = SomeRows(3);
  for (const WeightFormat format : {WeightFormat::kHq8, WeightFormat::kBf16}) {
    Head head(*backend_, format);
    const std::vector<float> draft = LogitsOf(*backend_, head.linear, Reader::kDraft, x);
    const std::vector<float> target = LogitsOf(*backend_, head.linear, Reader::kTarget, x);
    std::vector<float> coarse(draft.size());
    const Product product = ProductOf(head.linear, Reader::kDraft, Rows(coarse.data(), 3, kVocab));
    backend_->MatMul(ConstRows(x.data(), 3, kHidden), {&product, 1});
    for (size_t row = 0; row < 3; ++row) {
      const std::set<int64_t> packs = LargestByOrder(coarse.data() + row * kVocab);
      for (int64_t output = 0; output < kVocab; ++output) {
        const size_t i = row * kVocab + static_cast<size_t>(output);
        const bool is_refined = packs.contains(output / kPackRows * kPackRows);
        ASSERT_EQ(draft[i], is_refined ? target[i] : coarse[i]) << "row " << row << ", " << output;
      }
    }
    EXPECT_NE(target, coarse);
  }
}

TEST_P(RefinedHead, GivesARowTheSameBitsAlone) {
  Head head(*backend_, WeightFormat::kHq8);
  const std::vector<float> x = SomeRows(4);
  const std::vector<float> together = LogitsOf(*backend_, head.linear, Reader::kDraft, x);
  for (size_t row = 0; row < 4; ++row) {
    const std::vector<float> of_row(x.begin() + static_cast<std::ptrdiff_t>(row * kHidden),
                                    x.begin() + static_cast<std::ptrdiff_t>((row + 1) * kHidden));
    const std::vector<float> alone = LogitsOf(*backend_, head.linear, Reader::kDraft, of_row);
    EXPECT_EQ(std::memcmp(alone.data(), together.data() + row * kVocab, kVocab * sizeof(float)), 0);
  }
}

TEST_P(RefinedHead, SurvivesLogitsThatAreNotNumbers) {
  Head head(*backend_, WeightFormat::kHq8);
  std::vector<float> bias(kVocab, std::numeric_limits<float>::quiet_NaN());
  head.linear.bias = bias.data();
  const std::vector<float> x = SomeRows(1);
  for (const float logit : LogitsOf(*backend_, head.linear, Reader::kDraft, x)) {
    ASSERT_TRUE(std::isnan(logit));
  }
}

TEST_P(RefinedHead, CountsWhatItReads) {
  Head head(*backend_, WeightFormat::kHq8);
  const WeightBytes planes = backend_->SizeOf(head.linear.target.spec);
  const uint64_t whole = planes.upper + planes.lower;
  EXPECT_EQ(LinearBytes(*backend_, head.linear, Reader::kTarget), whole);
  EXPECT_EQ(LinearBytes(*backend_, head.linear, Reader::kDraft),
            planes.upper + whole * kRefinedPacks / 101);
  head.linear.is_refined = false;
  EXPECT_EQ(LinearBytes(*backend_, head.linear, Reader::kDraft), planes.upper);
}

std::vector<std::string_view> Backends() {
  std::vector<std::string_view> names(AvailableIsas().begin(), AvailableIsas().end());
  names.push_back("reference");
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, RefinedHead, testing::ValuesIn(Backends()),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace quantspec
