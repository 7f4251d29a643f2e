#include "cli/bench_round.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

namespace quantspec::cli {
namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The likeliest token of the last row. Lanes, so that compilers make vectors of them.
Token Likeliest(std::span<const float> logits, size_t rows) {
  const std::span<const float> last = logits.last(logits.size() / rows);
  std::array<float, 64> lanes;
  lanes.fill(last.front());
  size_t done = 0;
  for (; done + lanes.size() <= last.size(); done += lanes.size()) {
    for (size_t i = 0; i < lanes.size(); ++i) {
      lanes[i] = last[done + i] > lanes[i] ? last[done + i] : lanes[i];
    }
  }
  float largest = *std::max_element(lanes.begin(), lanes.end());
  for (const float x : last.subspan(done)) largest = std::max(largest, x);
  const auto found = std::find(last.begin(), last.end(), largest);
  return found == last.end() ? 0 : static_cast<Token>(found - last.begin());  // NaN: any will do
}

}  // namespace

double TokensPerRound(double accept, int gamma) {
  double tokens = 0, share = 1;
  for (int i = 0; i <= gamma; ++i, share *= accept) tokens += share;
  return tokens;
}

RoundTime TimeRounds(Session& session, int gamma, int rounds) {
  const int length = session.length();
  std::vector<Token> tokens(static_cast<size_t>(gamma) + 1);
  RoundTime time{gamma, 0, 0};
  for (int round = 0; round < rounds; ++round) {
    const double start = Now();
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      tokens[i + 1] = Likeliest(session.Step(Reader::kDraft, {&tokens[i], 1}), 1);
    }
    if (gamma > 0) session.Rewind(length);
    const double drafted = Now();
    const std::span<const float> target = session.Step(Reader::kTarget, tokens);
    tokens[0] = Likeliest(target, tokens.size());
    session.Rewind(length);
    time.draft_s += (drafted - start) / rounds;
    time.verify_s += (Now() - drafted) / rounds;
  }
  return time;
}

int BestGamma(Session& session, double accept, int largest) {
  constexpr int kRounds = 4;
  RoundTime best;
  double most = 0;
  for (int gamma = 0; gamma <= largest; ++gamma) {
    const RoundTime time = TimeRounds(session, gamma, kRounds);
    if (time.TokensPerSecond(accept) <= most) continue;
    most = time.TokensPerSecond(accept);
    best = time;
  }
  return best.gamma;
}

}  // namespace quantspec::cli
