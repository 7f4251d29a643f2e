// Session over a transformer, one cache and the decoding loop.
#pragma once

#include <memory>

#include "cache/kv_cache.h"
#include "model/transformer.h"
#include "quantspec/session.h"
#include "quantspec/text.h"

namespace quantspec {

struct SessionParts {
  std::shared_ptr<const void> engine;  // kept alive
  const Model* model = nullptr;
  const Tokenizer* tokenizer = nullptr;  // null with random weights: nothing ends a text
  std::unique_ptr<Backend> backend;
  KvCacheSpec cache;
  MemoryBytes bytes;
};

std::unique_ptr<Session> MakeSession(SessionParts parts);

}  // namespace quantspec
