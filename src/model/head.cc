#include "model/head.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include "base/larger_lanes.h"

namespace quantspec {
namespace {

struct Pack {
  float largest;
  int64_t first_output;
};

bool IsLarger(const Pack& a, const Pack& b) { return a.largest > b.largest; }

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// The largest of a pack's logits, or another of them if there is a NaN; never NaN itself. By
// halves.
float LargestOf(const float* logits) {
  static_assert(kPackRows == 16);
  float lanes[kPackRows];
  std::copy(logits, logits + kPackRows, lanes);
  TakeLarger<8>(lanes + 8, lanes);
  TakeLarger<4>(lanes + 4, lanes);
  TakeLarger<2>(lanes + 2, lanes);
  TakeLarger<1>(lanes + 1, lanes);
  return lanes[0] > kNothing ? lanes[0] : kNothing;
}

// The packs with the largest logits, at most found.size() of them, in any order.
std::span<Pack> LargestPacks(std::span<const float> logits, std::span<Pack> found) {
  const auto vocab = static_cast<int64_t>(logits.size());
  size_t count = 0;
  // The heap's front is the smallest of those kept.
  for (int64_t first = 0; first < vocab; first += kPackRows) {
    float pack[kPackRows];
    const int64_t outputs = std::min(kPackRows, vocab - first);
    const float* at = logits.data() + first;
    if (outputs < kPackRows) {
      std::fill(std::copy(at, at + outputs, pack), pack + kPackRows, kNothing);
      at = pack;
    }
    const Pack next{LargestOf(at), first};
    if (count == found.size()) {
      if (!IsLarger(next, found.front())) continue;
      std::pop_heap(found.begin(), found.end(), IsLarger);
      --count;
    }
    found[count++] = next;
    std::push_heap(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count), IsLarger);
  }
  return found.first(count);
}

void Refine(Backend& backend, const Linear& head, ConstRows normed, Rows logits) {
  std::array<Pack, kRefinedPacks> memory;
  const std::span<Pack> packs =
      LargestPacks({logits.Row(0), static_cast<size_t>(logits.columns)}, memory);
  std::array<Product, kRefinedPacks> products;
  for (size_t i = 0; i < packs.size(); ++i) {
    products[i] = ProductOf(head, Reader::kTarget, logits);
    products[i].first_output = packs[i].first_output;
    products[i].outputs = std::min(kPackRows, logits.columns - packs[i].first_output);
  }
  backend.MatMul(normed, std::span(products).first(packs.size()), Inputs::kTwoPlanes);
}

}  // namespace

void MultiplyHead(Backend& backend, const Linear& head, Reader reader, ConstRows normed,
                  Rows logits) {
  const bool is_refined = reader == Reader::kDraft && head.is_refined;
  const Product whole = ProductOf(head, reader, logits);
  // The head's rounding reaches the logits undamped, and few rows wait for its bytes anyway:
  // docs/decisions/0003-activations-in-8-bits.md.
  backend.MatMul(normed, {&whole, 1}, is_refined ? Inputs::kOnePlane : Inputs::kTwoPlanes);
  if (!is_refined) return;
  for (int64_t row = 0; row < normed.rows; ++row) {
    Refine(backend, head, normed.Rows(row, 1), logits.Rows(row, 1));
  }
}

}  // namespace quantspec
