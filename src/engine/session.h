// Session over a sequence of an engine and the decoding loop.
#pragma once

#include <memory>

#include "decode/decoding.h"
#include "engine/sequence.h"
#include "quantspec/session.h"

namespace quantspec {

struct SessionParts {
  std::shared_ptr<const void> engine;  // kept alive
  EngineCore* core = nullptr;
  int tokens = 0;  // ids below it are tokens
  IsEnd is_end;
  SequenceSpec sequence;
  WeightMode weights = WeightMode::kAuto;
  MemoryBytes bytes;
};

// Throws Error{kUsage} naming the first token that is none of `tokens`.
void CheckTokens(std::span<const Token> tokens, int count);
// Throws Error{kUsage} unless a prompt fits behind `length` tokens and `pending` ones.
void CheckPrompt(size_t prompt, int length, size_t pending, int context);

std::unique_ptr<Session> MakeSession(const SessionParts& parts);

}  // namespace quantspec
