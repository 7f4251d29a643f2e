// One sequence: its cache, and the decoding loop over it. Command line, server and bindings all
// stand on this page.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "quantspec/types.h"

namespace quantspec {

struct SessionOptions {
  int context = 0;  // tokens the cache can hold; 0 = the model's context
  CacheKind cache = CacheKind::kHierarchical;
  DraftOptions draft = {};
  PromptReuse reuse = PromptReuse::kPrompts;
  // Only sequences of the same salt share chunks of prompts, in memory and on disk; so that nobody
  // learns from the time of an answer what others asked.
  std::string salt = {};
};

// Belongs to one thread at a time. Whatever ends a call, an exception of a callback included,
// leaves the session as the last finished chunk of a prompt or the last token handed to `on_token`
// left it.
class Session {
 public:
  virtual ~Session() = default;

  virtual int context() const = 0;
  virtual int length() const = 0;  // tokens in the cache
  virtual MemoryBytes memory() const = 0;

  // Appends `prompt` to the sequence, in chunks that end at multiples of 256 tokens; chunks that
  // another sequence of the engine has read are shared. The logits of its last token stay ready for
  // Generate. Throws Error{kUsage} for an empty or too long prompt or a token out of range; the
  // session is unchanged then. Returns false if `on_prefill` stopped it: the chunks that were
  // finished stay, so that the rest of the prompt, from length() on, can be given again.
  virtual bool Prefill(std::span<const Token> prompt, const OnPrefill& on_prefill = {}) = 0;

  // Generates after the last prefilled or generated token. An end token is part of the result
  // unless it is dropped by the caller. Needs a non-empty sequence.
  virtual GenerateResult Generate(const GenerateOptions& options, const OnToken& on_token = {}) = 0;

  // The forward pass itself, for scoring and tools: appends `tokens` (1 to step_room()) and returns
  // their logits [tokens, vocab], valid until the next call. Rewind ends the step: only the first
  // `length` tokens stay, none that the draft stepped over. A Prefill or Generate before that keeps
  // what the target stepped over and drops what the draft did.
  virtual std::span<const float> Step(Reader reader, std::span<const Token> tokens) = 0;
  // Without an open step: forgets the tokens from `length` on, a multiple of 256 up to what is
  // sealed, or 0; any number with CacheKind::kFull. Of a model with attention windows, one that is
  // not so far back that its rows were overwritten, or 0. Throws Error{kUsage} for others.
  virtual void Rewind(int length) = 0;
  // The largest length, at most `most`, that Rewind takes when no step is open.
  virtual int RewindLength(int most) const = 0;
  // The most tokens the next Step may append: to where a group is sealed or the end of the context.
  virtual int step_room() const = 0;
  // Tokens in sealed groups, which the next step reads quantised; 0 with CacheKind::kFull.
  virtual int sealed() const = 0;

  // Forgets the sequence.
  virtual void Clear() = 0;
  // A copy that goes its own way; shares the sealed tokens of the cache and copies the others.
  // Throws Error{kMemory}.
  virtual std::unique_ptr<Session> Fork() = 0;
  // The same with another draft. SnapKV and Pillar need to know the target's latest queries, which
  // only sessions that were opened with one of them keep; without, they read everything at first.
  virtual std::unique_ptr<Session> Fork(const DraftOptions& draft) = 0;
  // Hash of every stored byte of the cache that belongs to the sequence, 16 hex digits.
  virtual std::string CacheDigest() const = 0;
  // Bytes that one token reads at the present length: weights and cache, by reader.
  virtual uint64_t BytesPerToken(Reader reader) const = 0;
};

}  // namespace quantspec
