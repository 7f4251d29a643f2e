// Every way of fetching a cache's planes ahead gives the same bits: CPUs differ in which of them
// they use, so that other tests meet one of them.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kv_layout.h"

namespace quantspec::cpu {
namespace {

constexpr int kGroups = 6;
constexpr int64_t kMostRows = 17;  // more than any tile has

void FillScales(F16* values, int64_t count, uint64_t stream) {
  for (int64_t i = 0; i < count; ++i) {
    const double value = 0.05 + 0.1 * RandomUniform(5, stream, static_cast<uint64_t>(i));
    values[i] = F16FromFloat(static_cast<float>(value));
  }
}

// One head's sealed groups, with random codes, and rows of queries.
class Head {
 public:
  explicit Head(int head_dim)
      : head_dim_(head_dim),
        upper_(static_cast<size_t>(kGroups * PlaneGroupBytes(head_dim))),
        lower_(upper_.bytes()),
        scales_(static_cast<size_t>(kGroups * ScaleGroupBytes(head_dim))),
        queries_(static_cast<size_t>(kMostRows * head_dim)) {
    for (size_t i = 0; i < upper_.bytes(); ++i) {
      upper_.As<uint8_t>()[i] = static_cast<uint8_t>(RandomBits(5, 1, i));
      lower_.As<uint8_t>()[i] = static_cast<uint8_t>(RandomBits(5, 2, i));
    }
    FillScales(scales_.As<F16>(), static_cast<int64_t>(scales_.bytes() / sizeof(F16)), 3);
    for (size_t i = 0; i < queries_.size(); ++i) {
      queries_[i] = static_cast<float>(RandomUniform(5, 4, i) - 0.5);
    }
  }

  // The state of `rows` rows after the groups of some slots.
  std::vector<float> Attend(const AttentionKernels& kernels, Planes planes, PlaneFetch fetch,
                            int64_t rows, const std::vector<int32_t>& slots) const {
    Buffer memory(static_cast<size_t>(StateFloats(rows, head_dim_)) * sizeof(float));
    Buffer lanes(static_cast<size_t>(rows * 3 * 16) * sizeof(float));
    SealedSegment segment;
    segment.upper = upper_.data();
    segment.lower = lower_.data();
    segment.scales = scales_.data();
    segment.capacity = kGroups;
    SealedWork work{};
    work.q = queries_.data();
    work.head_dim = head_dim_;
    work.planes = planes;
    work.first = GroupOf(segment, head_dim_, 0, 0);
    work.slots = slots.data();
    work.groups = static_cast<int64_t>(slots.size());
    work.end = work.groups;
    work.fetch = fetch;
    work.lanes = lanes.As<float>();
    work.state = StateAt(memory.As<float>(), rows);
    kernels.clear(work.state, head_dim_);
    kernels.sealed(work);
    const float* state = memory.As<float>();
    return {state, state + StateFloats(rows, head_dim_)};
  }

 private:
  int head_dim_;
  Buffer upper_, lower_, scales_;
  std::vector<float> queries_;
};

class EachFetch : public testing::TestWithParam<std::tuple<const KernelTable*, int>> {};

TEST_P(EachFetch, GivesTheSameState) {
  const auto [table, head_dim] = GetParam();
  const Head head(head_dim);
  const std::vector<int32_t> all{0, 1, 2, 3, 4, 5}, some{4, 0, 5};
  for (const Planes planes : {Planes::kBoth, Planes::kUpper}) {
    for (int64_t rows = 1; rows <= kMostRows; ++rows) {
      for (const auto& slots : {all, some}) {
        const auto state = [&](PlaneFetch fetch) {
          return head.Attend(table->attention, planes, fetch, rows, slots);
        };
        const std::vector<float> near = state(PlaneFetch::kNear);
        ASSERT_GT(near[static_cast<size_t>(StateAt(nullptr, rows).padded)], 0.0f);  // a sum
        ASSERT_EQ(near, state(PlaneFetch::kFar)) << rows << " rows";
        ASSERT_EQ(near, state(PlaneFetch::kFarForSomeRows)) << rows << " rows";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, EachFetch,
                         testing::Combine(testing::ValuesIn(AvailableTables().begin(),
                                                            AvailableTables().end()),
                                          testing::Values(64, 128)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)->isa) + "_d" +
                                  std::to_string(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace quantspec::cpu
