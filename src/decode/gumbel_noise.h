// Gumbel noise for a whole vocabulary at one position, as a pure function of (seed, position,
// token), arranged so that almost none of it has to be computed.
//
// argmax(log p + Gumbel) is the argmin of E / p with independent exponentials E: an exponential
// race. [maddison2014] A block of tokens first draws the smallest E of the block and who has it;
// because exponentials have no memory, every other token's E is that minimum plus a fresh
// exponential. Each token's noise is thus exactly Exp(1) and independent of the others', yet one
// draw bounds the noise of a block.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/random.h"
#include "decode/logit_blocks.h"
#include "quantspec/types.h"

namespace quantspec {

// Key space of one position: what a random word is for. Tokens use their id.
enum class Draw : uint64_t {
  kBlockMinimum = uint64_t{1} << 32,  // + block
  kBlockWinner = uint64_t{1} << 33,   // + block
  kAccept = uint64_t{1} << 34,
  kResidual = (uint64_t{1} << 34) + 1,
};

class GumbelNoise {
 public:
  GumbelNoise(uint64_t seed, uint64_t position) : seed_(seed), position_(position) {}

  // The Gumbel noise of any token is at most this: -log of the least block minimum.
  static constexpr double kLargest = 41.7;

  // The smallest exponential of a block.
  double BlockMinimum(int block) const {
    return Exponential(static_cast<uint64_t>(Draw::kBlockMinimum) + static_cast<uint64_t>(block)) /
           kLogitBlock;
  }
  // The token of the block that has it. In the last block it may lie beyond the vocabulary.
  Token BlockWinner(int block) const {
    const uint64_t index = static_cast<uint64_t>(Draw::kBlockWinner) + static_cast<uint64_t>(block);
    static_assert((kLogitBlock & (kLogitBlock - 1)) == 0);
    return block * kLogitBlock +
           static_cast<Token>(RandomBits(seed_, position_, index) % kLogitBlock);
  }
  double Gumbel(Token token, Token winner, double block_minimum) const {
    if (token == winner) return -std::log(block_minimum);
    return -std::log(block_minimum + Exponential(static_cast<uint64_t>(token)));
  }
  double Gumbel(Token token) const {
    const int block = token / kLogitBlock;
    return Gumbel(token, BlockWinner(block), BlockMinimum(block));
  }

 private:
  double Exponential(uint64_t index) const {
    return -std::log(RandomUniform(seed_, position_, index));
  }

  uint64_t seed_;
  uint64_t position_;
};

}  // namespace quantspec
