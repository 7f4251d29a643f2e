// Drafts over attention sinks and a window. [streamingllm, magicdec]
#pragma once

#include "cache/row_policy.h"

namespace quantspec {

// Reads the first 16 tokens and the newest ones, which are rows of the target's cache: nothing is
// read a second time, and keys keep their rotation. The window moves with the text, by whole groups
// within the sealed tokens.
class StreamingPolicy : public RowPolicy {
 public:
  static constexpr int64_t kSinks = 16;
  static uint64_t Bytes(const DraftPolicySpec& spec, const Backend& backend);
  // Throws Error{kMemory}.
  StreamingPolicy(const DraftPolicySpec& spec, const Backend& backend);

  void BeginStep(Backend& backend, const PolicyStep& step) override;
  void Forget() override { has_sinks_ = false; }
  void Rewind(int length) override;

 protected:
  Kept KeptOf(const KvView& target) const override;

 private:
  bool has_sinks_ = false;  // they are gathered
};

}  // namespace quantspec
