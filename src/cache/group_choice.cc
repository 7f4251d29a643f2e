#include "cache/group_choice.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/view.h"
#include "quant/hq8.h"
#include "quantspec/types.h"

namespace quantspec {
namespace {

// By measurement (docs/results.md): a quarter of the groups costs hardly any acceptance where there
// are many; of few a quarter is too few, and reading them is cheap.
constexpr int64_t kAutoShare = 4;
constexpr int64_t kAutoLeast = 12;
// Weighing costs a step of one row 1 to 2 %.
constexpr int kMostSteps = 8;

int64_t Cells(int kv_heads, int64_t capacity) { return RoundUp(kv_heads * capacity, 16); }

}  // namespace

int64_t DraftGroups(int draft_context, int64_t groups) {
  const int64_t most = draft_context == kDraftContextAuto
                           ? std::max(CeilDiv(groups, kAutoShare), kAutoLeast)
                           : CeilDiv(int64_t{draft_context}, int64_t{kKvGroup});
  return std::min(most, groups);
}

size_t GroupChoice::Bytes(int kv_heads, int64_t capacity) {
  return static_cast<size_t>(Cells(kv_heads, capacity)) * (sizeof(float) + sizeof(int32_t));
}

GroupChoice::GroupChoice(std::byte*& memory, int kv_heads, int64_t capacity)
    : kv_heads_(kv_heads),
      capacity_(capacity),
      weights_(reinterpret_cast<float*>(memory)),
      chosen_(reinterpret_cast<int32_t*>(weights_ + Cells(kv_heads, capacity))) {
  memory += Bytes(kv_heads, capacity);
}

float* GroupChoice::Weights(int64_t groups) {
  QS_CHECK(groups >= weighed_ && groups <= capacity_);
  if (weighed_ > 0 && !is_used_ && ++steps_since_ < kMostSteps) return nullptr;
  is_used_ = false;
  steps_since_ = 0;
  weighed_ = groups;
  chosen_groups_ = -1;
  return weights_;
}

void GroupChoice::Forget() {
  weighed_ = 0;
  chosen_groups_ = -1;
}

const int32_t* GroupChoice::Choose(int64_t groups, int64_t count) {
  QS_CHECK(groups >= weighed_ && groups <= capacity_ && count >= 0 && count <= groups);
  if (weighed_ == 0) return nullptr;
  is_used_ = true;
  if (chosen_groups_ == groups && chosen_count_ == count) return chosen_;
  for (int head = 0; head < kv_heads_; ++head) ChooseOfHead(head, groups, count);
  chosen_groups_ = groups;
  chosen_count_ = count;
  return chosen_;
}

void GroupChoice::ChooseOfHead(int head, int64_t groups, int64_t count) {
  const float* weights = weights_ + head * weighed_;
  const auto weight = [&](int32_t group) {
    return group < weighed_ ? weights[group] : std::numeric_limits<float>::infinity();
  };
  // Candidates stand where no choice of a head before stands: count <= capacity.
  int32_t* candidates = chosen_ + head * capacity_;
  std::iota(candidates, candidates + groups, 0);
  std::nth_element(candidates, candidates + count, candidates + groups, [&](int32_t a, int32_t b) {
    const float left = weight(a), right = weight(b);
    return left != right ? left > right : a < b;
  });
  std::sort(candidates, candidates + count);
  std::copy_n(candidates, count, chosen_ + head * count);
}

}  // namespace quantspec
