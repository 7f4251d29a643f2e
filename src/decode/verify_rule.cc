#include "decode/verify_rule.h"

#include "base/random.h"
#include "decode/gumbel_noise.h"
#include "decode/logit_blocks.h"

namespace quantspec {

Verdict AcceptOrResample(Token drafted, std::span<const float> p, std::span<const float> q,
                         uint64_t seed, uint64_t position) {
  const size_t g = static_cast<size_t>(drafted);
  const double u = RandomUniform(seed, position, static_cast<uint64_t>(Draw::kAccept));
  if (u * q[g] < p[g]) return {drafted, true};
  const double v = RandomUniform(seed, position, static_cast<uint64_t>(Draw::kResidual));
  const int residual = PickByMass(p, q, v);
  // p == q but for rounding: the residual is empty and any draw from p is right.
  return {residual >= 0 ? residual : PickByMass(p, {}, v), false};
}

}  // namespace quantspec
