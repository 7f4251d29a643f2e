// What the keys and values of a prompt depend on besides its tokens.
#pragma once

#include <string_view>

#include "base/sha256.h"
#include "formats/loaded_model.h"
#include "quantspec/engine.h"

namespace quantspec {

// Must change with every change of the arithmetic of prompts, and with the order of bytes in a
// slot: stored chunks of another version are never read. PromptStoreDisk.KnowsTheArithmetic fails
// where it has to.
inline constexpr int kArithmeticVersion = 1;

// Hashes the model's files, and which factors of RoPE sequences of `context` tokens read. Threads
// are not in it: results do not depend on their number. Throws Error{kIo}.
Sha256Hash FingerprintOf(const LoadedModel& model, const EngineOptions& options,
                         std::string_view isa, int context);

}  // namespace quantspec
