// Counts what the decoding loop allocates.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "decode/generate.h"
#include "decode/toy_model.h"

namespace {
std::atomic<int> allocations{0};
}  // namespace

// Not inlined: compilers would see malloc paired with delete.
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(bytes == 0 ? 1 : bytes);
}
[[gnu::noinline]] void* operator new(size_t bytes) {
  if (void* memory = operator new(bytes, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace quantspec {
namespace {

TEST(Generate, AllocatesNothingBetweenTheFirstAndTheLastToken) {
  const std::vector<Token> prompt = {1, 2, 3};
  ToyOptions toy;
  toy.vocab = 700;
  Decoding decoding(toy.vocab, toy.vocab);
  for (const int gamma : {0, 4, kMaxGamma, kGammaAuto}) {
    for (int filter = 0; filter < 4; ++filter) {
      ToyModel model(toy);
      GenerateOptions options;
      options.gamma = gamma;
      options.max_tokens = 200;
      options.sampling.temperature = filter == 0 ? 0.0f : 0.9f;
      options.sampling.top_k = filter == 1 ? 40 : 0;
      options.sampling.top_p = filter == 2 ? 0.9f : 1.0f;
      options.sampling.repeat_penalty = filter == 2 ? 1.1f : 1.0f;
      options.sampling.verify = filter == 3 ? VerifyRule::kRejection : VerifyRule::kCoupled;
      int seen = 0;
      int at_first = 0;
      int at_last = -1;
      const OnToken on_token = [&](Token) {
        (seen++ == 0 ? at_first : at_last) = allocations.load();
        return true;
      };
      std::vector<Token> tokens = prompt;
      tokens.reserve(static_cast<size_t>(toy.context) + kMaxGamma + 1);
      Generate(decoding, model, {&tokens, model.Prefill(prompt), options, {}, on_token, {}});
      EXPECT_EQ(seen, 200);
      EXPECT_EQ(at_last, at_first) << "gamma " << gamma << " filter " << filter;
    }
  }
}

TEST(Generate, SaysBeforehandWhatItTakes) {
  EXPECT_GT(Decoding::Bytes(1000), 1000u * sizeof(float));
  EXPECT_LT(Decoding::Bytes(151936), 16u << 20);
}

}  // namespace
}  // namespace quantspec
