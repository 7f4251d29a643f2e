// The merge loop of byte-pair encoding: always the best pair next, leftmost first among equals.
// O(n log n) for a text of n symbols.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "quantspec/types.h"

namespace quantspec {

// A stretch of text that is one token so far.
struct Symbol {
  uint32_t begin = 0, end = 0;  // bytes
  Token token = -1;             // -1 = no token of the vocabulary
  int32_t previous = -1, next = -1;
};

// What joining two neighbours gives. The lowest order goes first.
struct Join {
  Token token = -1;  // -1 = they cannot be joined
  uint32_t order = 0;
};

// An order by scores, highest first. `score` is not NaN.
inline uint32_t OrderOfScore(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 is 0
  return (bits & 0x80000000u) != 0 ? bits : ~bits & 0x7FFFFFFFu;
}

class Merger {
 public:
  // Starts a new text.
  void Clear() {
    symbols_.clear();
    heap_.clear();
  }
  void Add(uint32_t begin, uint32_t end, Token token) {
    const auto index = static_cast<int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({begin, end, token, index - 1, -1});
  }

  // Joins until nothing can be joined. `join(left, right)` returns a Join.
  template <typename JoinFunction>
  void Run(const JoinFunction& join) {
    for (int32_t i = 0; i + 1 < static_cast<int32_t>(symbols_.size()); ++i) {
      Offer(i, join);
    }
    // The pairs of the start are sorted once: cheaper than to keep them on the heap, which then
    // holds only those that arise by joining.
    start_.swap(heap_);
    heap_.clear();
    std::sort(start_.begin(), start_.end(),
              [](const Candidate& a, const Candidate& b) { return GoesLater(b, a); });
    for (size_t next = 0; next < start_.size() || !heap_.empty();) {
      const Candidate best = TakeBest(&next);
      Symbol& left = At(best.left);
      // Symbols only grow, to the right, and lose their place when joined to their left neighbour,
      // so a pair that still ends there is the same pair.
      if (left.end == left.begin || left.next < 0 || At(left.next).end != best.end) continue;
      Symbol& right = At(left.next);
      left.end = right.end;
      left.token = best.token;
      left.next = right.next;
      right.end = right.begin;  // gone
      if (left.next >= 0) {
        At(left.next).previous = best.left;
        if (Offer(best.left, join)) std::push_heap(heap_.begin(), heap_.end(), GoesLater);
      }
      if (left.previous >= 0 && Offer(left.previous, join)) {
        std::push_heap(heap_.begin(), heap_.end(), GoesLater);
      }
    }
  }

  // Calls `visit(symbol)` from left to right.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (int32_t i = symbols_.empty() ? -1 : 0; i >= 0; i = symbols_[static_cast<size_t>(i)].next) {
      visit(symbols_[static_cast<size_t>(i)]);
    }
  }

 private:
  struct Candidate {
    uint32_t order;
    int32_t left;
    Token token;
    uint32_t end;
  };

  static bool GoesLater(const Candidate& a, const Candidate& b) {
    return a.order > b.order || (a.order == b.order && a.left > b.left);
  }
  Symbol& At(int32_t index) { return symbols_[static_cast<size_t>(index)]; }

  Candidate TakeBest(size_t* next) {
    if (heap_.empty() || (*next < start_.size() && GoesLater(heap_.front(), start_[*next]))) {
      return start_[(*next)++];
    }
    const Candidate best = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), GoesLater);
    heap_.pop_back();
    return best;
  }

  template <typename JoinFunction>
  bool Offer(int32_t index, const JoinFunction& join) {
    const Symbol& left = At(index);
    const Symbol& right = At(left.next);
    const Join result = join(left, right);
    if (result.token < 0) return false;
    heap_.push_back({result.order, index, result.token, right.end});
    return true;
  }

  std::vector<Symbol> symbols_;
  std::vector<Candidate> start_, heap_;
};

}  // namespace quantspec
