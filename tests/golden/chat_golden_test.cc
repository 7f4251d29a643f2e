// Chat prompts against what Jinja makes of the published templates; see
// make_chat_golden.py.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "formats/load_model.h"
#include "quantspec/text.h"
#include "text/tiny_vocabulary.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

using Json = nlohmann::json;

const Json &Families() {
  static const Json families = [] {
    std::ifstream file(QS_GOLDEN_DIR "/chat.json");
    return Json::parse(file);
  }();
  return families;
}

std::vector<ChatMessage> Messages(const Json &conversation) {
  std::vector<ChatMessage> messages;
  for (const Json &message : conversation) {
    const std::string role = message[0];
    messages.push_back({role == "system" ? ChatMessage::Role::kSystem
                        : role == "user" ? ChatMessage::Role::kUser
                                         : ChatMessage::Role::kAssistant,
                        message[1]});
  }
  return messages;
}

std::string Trim(const std::string &text) {
  const size_t first = text.find_first_not_of(" \n");
  return first == std::string::npos
             ? ""
             : text.substr(first, text.find_last_not_of(" \n") - first + 1);
}

// A tokenizer whose tokens are bytes and the family's special tokens, and the
// family's format.
class ChatGolden : public testing::TestWithParam<size_t> {
protected:
  void SetUp() override {
    std::vector<TinyToken> tokens = ByteAlphabetTokens();
    std::vector<std::string> names = golden()["special"];
    names.insert(names.begin(), {golden()["bos"].get<std::string>(),
                                 golden()["eos"].get<std::string>()});
    for (const std::string &name : names)
      tokens.push_back({name, TokenType::kControl});
    TokenizerSpec spec = TinySpec(TokenizerKind::kByteLevelBpe, tokens);
    spec.bos = 256;
    spec.eos = 257;
    spec.ends = {257};
    tokenizer_ = MakeTokenizer(spec);
    chat_ = MakeChatFormat(golden()["template"].get<std::string>(), spec,
                           *tokenizer_);
  }
  const Json &golden() const { return Families()[GetParam()]; }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatFormat> chat_;
};

TEST_P(ChatGolden, PromptsAreThoseOfTheTemplate) {
  EXPECT_EQ(chat_->family(), golden()["family"].get<std::string>());
  for (const Json &one : golden()["cases"]) {
    const std::vector<Token> tokens = chat_->Format(Messages(one["messages"]));
    EXPECT_EQ(tokenizer_->Decode(tokens), one["text"].get<std::string>());
    EXPECT_EQ(tokens, tokenizer_->Encode(one["text"].get<std::string>(),
                                         SpecialTokens::kParse));
  }
}

TEST_P(ChatGolden, ContinuingIsFormattingTheWholeConversation) {
  const std::string name = golden()["name"];
  // This template opens generated turns otherwise than quoted ones.
  if (name == "deepseek-r1-think")
    return;
  for (const Json &one : golden()["cases"]) {
    std::vector<ChatMessage> messages = Messages(one["messages"]);
    if (messages.size() < 3 ||
        messages[messages.size() - 2].role != ChatMessage::Role::kAssistant) {
      continue;
    }
    const ChatMessage answer = messages[messages.size() - 2],
                      last = messages.back();
    // This one moves the system text into the last turn; and quoted thoughts
    // are dropped by some.
    if (name == "mistral-v0.3" &&
        messages[0].role == ChatMessage::Role::kSystem)
      continue;
    if (answer.text.find("</think>") != std::string::npos)
      continue;
    messages.resize(messages.size() - 2);
    const std::string whole = one["text"];
    const std::string head = tokenizer_->Decode(chat_->Format(messages));
    for (const bool ended : {true, false}) {
      const std::string tail = tokenizer_->Decode(chat_->Continue(last, ended));
      ASSERT_LE(head.size() + tail.size(), whole.size());
      EXPECT_EQ(whole.substr(0, head.size()), head);
      EXPECT_EQ(whole.substr(whole.size() - tail.size()), tail);
      // Between them is the answer, and its end if that was generated. Llama
      // 2's template has a space before the end that its models do not write.
      std::string middle =
          whole.substr(head.size(), whole.size() - head.size() - tail.size());
      const std::vector<Token> tokens =
          tokenizer_->Encode(middle, SpecialTokens::kParse);
      ASSERT_FALSE(tokens.empty());
      EXPECT_EQ(tokenizer_->IsSpecial(tokens.back()), ended);
      if (ended)
        middle = tokenizer_->Decode({tokens.data(), tokens.size() - 1});
      if (answer.text.find("\xC2\xA0") == std::string::npos) {
        EXPECT_EQ(Trim(middle), Trim(answer.text));
      }
    }
  }
}

TEST_P(ChatGolden, MessagesAreTextWhateverTheyContain) {
  std::string marks = "\1<|im_end|>\1";
  for (Token token = 256; token < tokenizer_->vocab(); ++token)
    marks += tokenizer_->Piece(token);
  using Role = ChatMessage::Role;
  const auto conversation = [](const std::string &text) {
    return std::vector<ChatMessage>{{Role::kSystem, text},
                                    {Role::kUser, text},
                                    {Role::kAssistant, text},
                                    {Role::kUser, text}};
  };
  const auto special = [&](const std::vector<Token> &tokens) {
    std::vector<Token> found;
    for (const Token token : tokens) {
      if (tokenizer_->IsSpecial(token))
        found.push_back(token);
    }
    return found;
  };
  EXPECT_EQ(special(chat_->Format(conversation(marks))),
            special(chat_->Format(conversation("a"))));
  EXPECT_EQ(special(chat_->Continue({Role::kUser, marks}, true)),
            special(chat_->Continue({Role::kUser, "a"}, true)));
}

INSTANTIATE_TEST_SUITE_P(Templates, ChatGolden,
                         testing::Range(size_t{0}, Families().size()),
                         [](const auto &parameter) {
                           std::string name =
                               Families()[parameter.param]["name"];
                           for (char &c : name)
                             c = c == '-' || c == '.' ? '_' : c;
                           return name;
                         });

TEST(ChatGolden, TheDemoModelsPromptsHaveTheReferencesTokens) {
  const char *model = std::getenv("QUANTSPEC_TEST_MODEL");
  if (model == nullptr)
    GTEST_SKIP() << "QUANTSPEC_TEST_MODEL names no model file";
  const LoadedModel source = LoadModel(model);
  const auto tokenizer = MakeTokenizer(*source.tokenizer);
  const auto chat =
      MakeChatFormat(*source.chat_template, *source.tokenizer, *tokenizer);
  for (const Json &one : Families().back()["cases"]) {
    EXPECT_EQ(chat->Format(Messages(one["messages"])),
              one["tokens"].get<std::vector<Token>>());
  }
}

} // namespace
} // namespace quantspec
