#include "server/api/answer_text.h"

#include <gtest/gtest.h>

#include "quantspec/engine.h"

namespace quantspec::server {
namespace {

class AnswerTexts : public ::testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.model_path = QS_GOLDEN_DIR "/models/llama-gqa.gguf";
    file_ = ModelFile::Open(options);
  }
  // The pieces of `text`, token by token, then what was held back.
  std::vector<Piece> Pieces(const std::string& text, std::vector<std::string> stops) {
    AnswerText answer(file_->tokenizer(), std::move(stops));
    std::vector<Piece> pieces;
    for (const Token token : file_->tokenizer().Encode(text, SpecialTokens::kAsText)) {
      pieces.push_back(answer.Push(token, {{token, -1.0f}}));
    }
    pieces.push_back(answer.Finish());
    tokens_ = answer.tokens();
    stopped_ = answer.stopped();
    stop_text_ = answer.stop_text();
    return pieces;
  }
  static std::string Joined(const std::vector<Piece>& pieces) {
    std::string text;
    for (const Piece& piece : pieces) text += piece.text;
    return text;
  }
  static size_t Scored(const std::vector<Piece>& pieces) {
    size_t count = 0;
    for (const Piece& piece : pieces) count += piece.scored.size();
    return count;
  }

  std::unique_ptr<ModelFile> file_;
  int tokens_ = 0;
  bool stopped_ = false;
  std::string stop_text_;
};

TEST_F(AnswerTexts, GiveEveryByteAndEveryScoreOnce) {
  const std::string text = "Caf\u00e9 \U0001F600 end";
  const auto pieces = Pieces(text, {});
  EXPECT_EQ(Joined(pieces), text);
  EXPECT_EQ(static_cast<int>(Scored(pieces)), tokens_);
  for (const Piece& piece : pieces) {
    EXPECT_EQ(piece.text.find('\xef'), std::string::npos) << "half a character came out";
  }
}

TEST_F(AnswerTexts, EndBeforeTheFirstStopText) {
  const auto pieces = Pieces("one two STOP three", {"never", "STOP"});
  EXPECT_EQ(Joined(pieces), "one two ");
  EXPECT_TRUE(stopped_);
  EXPECT_EQ(stop_text_, "STOP");
}

TEST_F(AnswerTexts, HoldBackWhatMayBecomeAStopText) {
  const auto pieces = Pieces("a STO", {"STOP"});
  EXPECT_EQ(Joined(pieces), "a STO");
  EXPECT_EQ(pieces.back().text, "STO");
  EXPECT_EQ(static_cast<int>(Scored(pieces)), tokens_);
  EXPECT_FALSE(stopped_);
}

}  // namespace
}  // namespace quantspec::server
