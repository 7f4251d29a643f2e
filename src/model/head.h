// The output head: from the last layer's rows to logits.
#pragma once

#include "base/view.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "quantspec/types.h"

namespace quantspec {

// Packs of outputs (kPackRows each) whose draft logits a refined head computes again as the
// target's, in each row; docs/decisions/0013-a-draft-head-in-two-passes.md.
inline constexpr int kRefinedPacks = 32;

// logits [rows, vocab] = normed [rows, hidden] * head^T. Each row by itself, for either reader. A
// refined draft reads one plane of the whole head, then what the target reads of the packs that
// hold the largest of its logits: the most probable token is chosen among values as good as the
// target's, for little more than half of its bytes. maxima: Product::maxima of the logits; staging:
// Backend::OnHost's for them.
void MultiplyHead(Backend& backend, const Linear& head, Reader reader, ConstRows normed,
                  Rows logits, Rows maxima, float* staging);

}  // namespace quantspec
