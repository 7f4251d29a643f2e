// Decoding one sequence by itself.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "decode/decoding.h"
#include "decode/sequence_model.h"
#include "quantspec/types.h"

namespace quantspec {

// Seconds from any fixed moment.
using Clock = std::function<double()>;
double SteadySeconds();

struct GenerateCall {
  std::vector<Token>* tokens = nullptr;  // as for Decoding::Start
  std::span<const float> first_logits;   // [vocab], the target's of the last of them
  GenerateOptions options;
  IsEnd is_end;
  OnToken on_token;
  CostPrior prior;
  DraftSource* source = nullptr;  // as for Decoding::Start
  Clock clock = SteadySeconds;
};

// Generates until it ends by itself or by `on_token`. Whatever ends it, an exception of `on_token`
// included: the tokens are those before and those handed to `on_token`, and the model holds all of
// them but the last generated one, as after plain decoding. An exception of the model drops the
// round.
GenerateResult Generate(Decoding& decoding, SequenceModel& model, const GenerateCall& call);

}  // namespace quantspec
