#include "decode/generate.h"

#include <algorithm>
#include <chrono>

namespace quantspec {
namespace {

// Computes the rows of a round; false if there is none to come.
bool ComputeRound(Decoding& decoding, SequenceModel& model, const Clock& clock) {
  const int start = model.Length();
  try {
    while (const auto rows = decoding.Next(model.Room())) {
      model.Truncate(rows->position);
      const double begin = clock();
      model.Step(rows->reader, rows->tokens, [&](const LogitRows& logits) {
        const bool is_target = rows->reader == Reader::kTarget;
        // Drafting includes choosing, as the next draft step waits for it.
        const double computed = clock();
        decoding.Accept(logits, computed - begin);
        if (!is_target) decoding.AddDraftSeconds(clock() - computed);
      });
      if (rows->reader == Reader::kTarget) return true;
    }
    return false;
  } catch (...) {
    decoding.Abort();
    model.Truncate(start);
    throw;
  }
}

// Hands the new tokens out and ends the round; the model commits what is kept.
void FinishRound(Decoding& decoding, SequenceModel& model, const GenerateCall& call) {
  const auto commit = [&] {
    const double begin = call.clock();
    const int length = static_cast<int>(call.tokens->size()) - 1;
    if (model.Length() > length || decoding.is_open()) model.Commit(length);
    decoding.EndRound(call.clock() - begin);
  };
  int handed = 0;
  try {
    for (const Token token : decoding.NewTokens()) {
      ++handed;
      if (call.on_token && !call.on_token(token)) {
        decoding.CutNewTokens(handed);
        break;
      }
    }
  } catch (...) {
    decoding.CutNewTokens(handed);
    commit();
    throw;
  }
  commit();
}

}  // namespace

double SteadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

GenerateResult Generate(Decoding& decoding, SequenceModel& model, const GenerateCall& call) {
  decoding.Start(call.tokens, call.options, call.is_end, call.prior, call.source);
  const double begin = call.clock();
  decoding.AcceptFirst(call.first_logits);
  if (call.options.max_tokens > 0) {
    do {
      FinishRound(decoding, model, call);
    } while (!decoding.finished() && ComputeRound(decoding, model, call.clock));
  }
  GenerateResult result = decoding.Result();
  GenerateStats& stats = result.stats;
  stats.decode_s = call.clock() - begin;
  stats.other_s = std::max(0.0, stats.decode_s - stats.draft_s - stats.verify_s - stats.seal_s);
  return result;
}

}  // namespace quantspec
