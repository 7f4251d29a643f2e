#include "model/head.h"

#include <algorithm>
#include <array>
#include <span>

namespace quantspec {
namespace {

struct Pack {
  float largest;
  int64_t first_output;
};

bool IsLarger(const Pack& a, const Pack& b) { return a.largest > b.largest; }

// The packs with the largest maxima, at most found.size() of them, in any order.
std::span<Pack> LargestPacks(std::span<const float> maxima, std::span<Pack> found) {
  size_t count = 0;
  // The heap's front is the smallest of those kept.
  for (size_t i = 0; i < maxima.size(); ++i) {
    const Pack next{maxima[i], static_cast<int64_t>(i) * kPackRows};
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

void Refine(Backend& backend, const Linear& head, ConstRows normed, Rows logits, Rows maxima,
            float* staging) {
  std::array<Pack, kRefinedPacks> memory;
  const ConstRows on_host = backend.OnHost(maxima, staging);
  const std::span<Pack> packs =
      LargestPacks({on_host.Row(0), static_cast<size_t>(on_host.columns)}, memory);
  std::array<Product, kRefinedPacks> products;
  for (size_t i = 0; i < packs.size(); ++i) {
    products[i] = ProductOf(head, Reader::kTarget, logits);
    products[i].maxima = maxima;
    products[i].first_output = packs[i].first_output;
    products[i].outputs = std::min(kPackRows, logits.columns - packs[i].first_output);
  }
  backend.MatMul(normed, std::span(products).first(packs.size()), Activations::kInt16);
}

}  // namespace

void MultiplyHead(Backend& backend, const Linear& head, Reader reader, ConstRows normed,
                  Rows logits, Rows maxima, float* staging) {
  const bool is_refined = reader == Reader::kDraft && head.is_refined;
  Product whole = ProductOf(head, reader, logits);
  whole.maxima = maxima;
  // The head's rounding reaches the logits undamped, and few rows wait for its bytes anyway:
  // docs/decisions/0003-activations-in-8-bits.md.
  backend.MatMul(normed, {&whole, 1}, is_refined ? Activations::kInt8 : Activations::kInt16);
  if (!is_refined) return;
  for (int64_t row = 0; row < normed.rows; ++row) {
    Refine(backend, head, normed.Rows(row, 1), logits.Rows(row, 1), maxima.Rows(row, 1), staging);
  }
}

}  // namespace quantspec
