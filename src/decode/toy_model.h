// For tests: a SequenceModel whose logits are a hash of the tokens before them, with a cache that
// seals like the hierarchical one and notices every breach of the contract.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "decode/sequence_model.h"

namespace quantspec {

struct ToyOptions {
  int vocab = 24;
  int context = 512;
  int group = 8;        // sealed at a time; the tail holds at most two
  int memory = 0;       // tokens that logits depend on; 0 = all
  float spread = 6.0f;  // of target logits
  float error = 1.0f;   // of draft logits
  uint64_t seed = 1;
};

class ToyModel : public SequenceModel {
 public:
  explicit ToyModel(const ToyOptions& options)
      : options_(options),
        rows_(static_cast<size_t>(options.context)),
        logits_(static_cast<size_t>(options.vocab) * (kMaxGamma + 1)) {}

  int Length() const override { return length_; }
  int Room() const override {
    return std::min(sealed_ + 2 * options_.group, options_.context) - length_;
  }

  // Appends a prompt; returns the logits of its last token.
  std::span<const float> Prefill(std::span<const Token> prompt) {
    for (const Token token : prompt) Append(token, Reader::kTarget);
    EndRound();
    ComputeLogits(length_ - 1, Reader::kTarget, logits_.data());
    return {logits_.data(), static_cast<size_t>(options_.vocab)};
  }

  void Step(Reader reader, std::span<const Token> tokens, TakeLogits take) override {
    const int count = static_cast<int>(tokens.size());
    Expect(count >= 1 && count <= Room(), "Step appends 1 to Room() tokens");
    if (reader == Reader::kTarget) Expect(length_ == round_, "Truncate precedes the target's step");
    for (const Token token : tokens) Append(token, reader);
    for (int i = 0; i < count; ++i) {
      ComputeLogits(length_ - count + i, reader, logits_.data() + i * options_.vocab);
    }
    if (reader == Reader::kDraft) {
      ++draft_steps;
      seconds += draft_s ? draft_s() : 0;
    } else {
      ++target_steps;
      seconds += verify_s ? verify_s(count) : 0;
    }
    take(ConstRows(logits_.data(), count, options_.vocab));
  }

  void Truncate(int length) override {
    Expect(length >= round_ && length <= length_, "Truncate stays within the round");
    Poison(length);
  }

  void Commit(int length) override {
    Expect(length > round_ && length <= length_, "a round commits at least one token");
    for (int i = round_; i < length; ++i) {
      Expect(rows_[At(i)].writer == Reader::kTarget, "committed rows come from the target");
    }
    Poison(length);
    EndRound();
  }

  // Target probabilities (or the draft's) after `tokens`, before any filter.
  std::vector<float> Logits(std::span<const Token> tokens, Reader reader) const {
    uint64_t state = Start();
    const size_t memory = static_cast<size_t>(options_.memory);
    const size_t skip = memory > 0 && tokens.size() > memory ? tokens.size() - memory : 0;
    for (const Token token : tokens.subspan(skip)) state = Next(state, token);
    std::vector<float> logits(static_cast<size_t>(options_.vocab));
    Fill(state, reader, logits.data());
    return logits;
  }

  // What is stored, sealing included.
  uint64_t Digest() const {
    uint64_t digest = MixBits(static_cast<uint64_t>(sealed_));
    for (int i = 0; i < length_; ++i) {
      const Row& row = rows_[At(i)];
      digest = MixBits(digest ^ static_cast<uint64_t>(row.token) ^
                       (row.writer == Reader::kTarget ? 0u : 1u << 30));
    }
    return digest;
  }
  int sealed() const { return sealed_; }

  std::string violation;  // the first breach of the contract; empty if none
  int draft_steps = 0;
  int target_steps = 0;
  double seconds = 0;  // simulated time
  std::function<double()> draft_s;
  std::function<double(int rows)> verify_s;

 private:
  struct Row {
    Token token = -1;
    Reader writer = Reader::kDraft;
    bool poisoned = true;
  };

  static size_t At(int index) { return static_cast<size_t>(index); }
  void Expect(bool ok, const char* rule) {
    if (!ok && violation.empty()) violation = rule;
  }
  void Append(Token token, Reader reader) {
    if (length_ >= options_.context) return Expect(false, "the context holds all tokens");
    rows_[At(length_++)] = {token, reader, false};
  }
  void Poison(int length) {
    for (int i = length; i < length_; ++i) rows_[At(i)] = {};
    length_ = length;
  }
  void EndRound() {
    while (length_ >= sealed_ + 2 * options_.group) sealed_ += options_.group;
    round_ = length_;
  }

  uint64_t Start() const { return MixBits(options_.seed); }
  static uint64_t Next(uint64_t state, Token token) {
    return MixBits(state ^ (static_cast<uint64_t>(token) + 77));
  }
  void ComputeLogits(int row, Reader reader, float* logits) {
    uint64_t state = Start();
    const int first = options_.memory > 0 ? std::max(0, row + 1 - options_.memory) : 0;
    for (int i = first; i <= row; ++i) {
      const Row& r = rows_[At(i)];
      Expect(!r.poisoned, "dropped rows are never read");
      if (reader == Reader::kTarget) {
        Expect(r.writer == Reader::kTarget, "the target never reads rows of the draft");
      }
      state = Next(state, r.token);
    }
    Fill(state, reader, logits);
  }
  void Fill(uint64_t state, Reader reader, float* logits) const {
    for (int v = 0; v < options_.vocab; ++v) {
      const uint64_t index = static_cast<uint64_t>(v);
      float logit = options_.spread * static_cast<float>(RandomUniform(state, 1, index));
      if (reader == Reader::kDraft) {
        logit += options_.error * (static_cast<float>(RandomUniform(state, 2, index)) - 0.5f);
      }
      logits[v] = logit;
    }
  }

  ToyOptions options_;
  std::vector<Row> rows_;
  std::vector<float> logits_;
  int length_ = 0;
  int round_ = 0;  // where the present round began
  int sealed_ = 0;
};

}  // namespace quantspec
