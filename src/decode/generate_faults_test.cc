// Generations that end in the middle: callbacks and steps that throw, numbers that are none.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "decode/generate.h"
#include "decode/toy_model.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

const std::vector<Token> kPrompt = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};

TEST(Generate, KeepsWhatWasHandedOutWhenTheCallbackThrows) {
  for (const int gamma : {0, 5}) {
    for (int at = 1; at < 20; ++at) {
      ToyOptions toy;
      toy.error = 0.0f;
      ToyModel model(toy);
      Decoding decoding(toy.vocab, toy.vocab);
      std::vector<Token> tokens = kPrompt;
      GenerateCall call{&tokens, model.Prefill(kPrompt), {}, {}, {}, {}};
      call.options.gamma = gamma;
      int seen = 0;
      call.on_token = [&](Token) -> bool {
        if (++seen == at) throw std::runtime_error("the reader went away");
        return true;
      };
      EXPECT_THROW(Generate(decoding, model, call), std::runtime_error);
      EXPECT_EQ(model.violation, "");
      EXPECT_EQ(tokens.size(), kPrompt.size() + static_cast<size_t>(at));
      EXPECT_EQ(model.Length(), static_cast<int>(tokens.size()) - 1);
    }
  }
}

// A model whose step fails after `steps` of them.
class Failing : public ToyModel {
 public:
  Failing(const ToyOptions& options, int steps) : ToyModel(options), steps_(steps) {}
  void Step(Reader reader, std::span<const Token> tokens, TakeLogits take) override {
    if (steps_-- == 0) throw std::runtime_error("the device is gone");
    ToyModel::Step(reader, tokens, take);
  }

 private:
  int steps_;
};

TEST(Generate, DropsTheRoundThatAStepFailsIn) {
  for (int steps = 0; steps < 14; ++steps) {
    ToyOptions toy;
    Failing model(toy, steps);
    Decoding decoding(toy.vocab, toy.vocab);
    std::vector<Token> tokens = kPrompt;
    std::vector<Token> streamed;
    GenerateCall call{&tokens, model.Prefill(kPrompt), {}, {}, {}, {}};
    call.options.gamma = 3;
    call.on_token = [&](Token token) {
      streamed.push_back(token);
      return true;
    };
    EXPECT_THROW(Generate(decoding, model, call), std::runtime_error);
    EXPECT_EQ(model.violation, "");
    EXPECT_EQ(tokens.size(), kPrompt.size() + streamed.size());
    EXPECT_EQ(model.Length(), static_cast<int>(tokens.size()) - 1);
  }
}

// A model one of whose readers has lost its numbers.
class Broken : public ToyModel {
 public:
  Broken(const ToyOptions& options, Reader broken) : ToyModel(options), broken_(broken) {}
  void Step(Reader reader, std::span<const Token> tokens, TakeLogits take) override {
    ToyModel::Step(reader, tokens, [&](const LogitRows& rows) {
      const std::vector<float> bad(static_cast<size_t>(rows.rows * rows.columns), NAN);
      const LogitRows broken = ConstRows(bad.data(), rows.rows, rows.columns);
      take(reader == broken_ ? broken : rows);
    });
  }

 private:
  Reader broken_;
};

// A target that is no number ends the answer; a draft that is none is rejected like any other.
TEST(Generate, OnlyTheTargetsLogitsMustBeNumbers) {
  for (const VerifyRule rule : {VerifyRule::kCoupled, VerifyRule::kRejection}) {
    for (const float temperature : {0.0f, 1.0f}) {
      const auto run = [&](Reader broken) {
        ToyOptions toy;
        Broken model(toy, broken);
        Decoding decoding(toy.vocab, toy.vocab);
        std::vector<Token> tokens = kPrompt;
        GenerateCall call{&tokens, model.Prefill(kPrompt), {}, {}, {}, {}};
        call.options.gamma = 3;
        call.options.max_tokens = 30;
        call.options.sampling.temperature = temperature;
        call.options.sampling.verify = rule;
        call.options.sampling.top_p = 0.9f;
        if (broken == Reader::kDraft) return Generate(decoding, model, call).tokens.size();
        EXPECT_THROW(Generate(decoding, model, call), Error);
        EXPECT_EQ(model.Length(), static_cast<int>(kPrompt.size()));
        return tokens.size() - kPrompt.size();
      };
      EXPECT_EQ(run(Reader::kDraft), 30u);
      EXPECT_EQ(run(Reader::kTarget), 1u);
    }
  }
}

// The first `count` tokens of plain decoding.
std::vector<Token> Greedy(const ToyOptions& toy, int count) {
  ToyModel model(toy);
  Decoding decoding(toy.vocab, toy.vocab);
  std::vector<Token> tokens = kPrompt;
  GenerateCall call{&tokens, model.Prefill(kPrompt), {}, {}, {}, {}};
  call.options.gamma = 0;
  call.options.max_tokens = count;
  return Generate(decoding, model, call).tokens;
}

// The target's rows from the `first` one of the text on are no numbers.
class BrokenFrom : public ToyModel {
 public:
  BrokenFrom(const ToyOptions& options, int first) : ToyModel(options), first_(first) {}
  void Step(Reader reader, std::span<const Token> tokens, TakeLogits take) override {
    const int start = Length();
    ToyModel::Step(reader, tokens, [&](const LogitRows& rows) {
      std::vector<float> values(rows.data, rows.data + rows.rows * rows.columns);
      const int good = std::clamp(first_ - start, 0, static_cast<int>(rows.rows));
      if (reader == Reader::kTarget) {
        std::fill(values.begin() + good * rows.columns, values.end(), NAN);
      }
      take(ConstRows(values.data(), rows.rows, rows.columns));
    });
  }

 private:
  int first_;
};

TEST(Generate, HandsOutWhatPlainDecodingWouldBeforeAnError) {
  for (int first = 12; first < 30; ++first) {
    for (const int gamma : {0, 1, 4, 16}) {
      ToyOptions toy;
      toy.error = 0.1f;
      BrokenFrom model(toy, first);
      Decoding decoding(toy.vocab, toy.vocab);
      std::vector<Token> tokens = kPrompt, streamed;
      GenerateCall call{&tokens, model.Prefill(kPrompt), {}, {}, {}, {}};
      call.options.gamma = gamma;
      call.on_token = [&](Token token) {
        streamed.push_back(token);
        return true;
      };
      EXPECT_THROW(Generate(decoding, model, call), Error);
      EXPECT_EQ(streamed, Greedy(toy, first - static_cast<int>(kPrompt.size()) + 1));
      EXPECT_EQ(tokens.size(), kPrompt.size() + streamed.size());
      EXPECT_EQ(model.Length(), static_cast<int>(tokens.size()) - 1);
    }
  }
}

}  // namespace
}  // namespace quantspec
