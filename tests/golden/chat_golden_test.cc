// Chat prompts against what Jinja makes of published templates; see make_chat_golden.py.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/load_model.h"
#include "quantspec/text.h"
#include "text/tiny_vocabulary.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

using Json = nlohmann::json;

const Json& Templates() {
  static const Json templates = [] {
    std::ifstream file(QS_GOLDEN_DIR "/chat.json");
    return Json::parse(file);
  }();
  return templates;
}

std::vector<ChatMessage> Messages(const Json& conversation) {
  std::vector<ChatMessage> messages;
  for (const Json& message : conversation) {
    const std::string role = message[0];
    messages.push_back({role == "system" ? ChatMessage::Role::kSystem
                        : role == "user" ? ChatMessage::Role::kUser
                                         : ChatMessage::Role::kAssistant,
                        message[1]});
  }
  return messages;
}

// A tokenizer whose tokens are bytes and the template's special tokens.
class ChatGolden : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    std::vector<TinyToken> tokens = ByteAlphabetTokens();
    std::vector<std::string> names = golden()["special"];
    names.insert(names.begin(),
                 {golden()["bos"].get<std::string>(), golden()["eos"].get<std::string>()});
    for (const std::string& name : names) tokens.push_back({name, TokenType::kControl});
    TokenizerSpec spec = TinySpec(TokenizerKind::kByteLevelBpe, tokens);
    spec.bos = 256;
    spec.eos = 257;
    spec.ends = {257};
    tokenizer_ = MakeTokenizer(spec);
    chat_ = MakeChatTemplate({golden()["template"].get<std::string>()}, spec, *tokenizer_);
  }
  const Json& golden() const { return Templates()[GetParam()]; }

  std::unique_ptr<NamingTokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> chat_;
};

TEST_P(ChatGolden, PromptsAreThoseOfTheTemplate) {
  ASSERT_FALSE(golden()["cases"].empty());
  for (const Json& one : golden()["cases"]) {
    const std::vector<Token> tokens = chat_->Format(Messages(one["messages"]));
    EXPECT_EQ(tokenizer_->Decode(tokens), one["text"].get<std::string>());
    EXPECT_EQ(tokens, tokenizer_->Encode(one["text"].get<std::string>(), SpecialTokens::kParse));
  }
}

TEST_P(ChatGolden, ConversationsInJsonAreTheSame) {
  for (const Json& one : golden()["cases"]) {
    Json messages = Json::array();
    for (const Json& message : one["messages"]) {
      messages.push_back({{"role", message[0]}, {"content", message[1]}, {"name", nullptr}});
    }
    const ChatPrompt prompt = chat_->Render({messages.dump(), "", true});
    EXPECT_EQ(prompt.text, one["text"].get<std::string>());
    EXPECT_EQ(prompt.tokens, chat_->Format(Messages(one["messages"])));
  }
}

TEST_P(ChatGolden, MessagesAreTextWhateverTheyContain) {
  std::string marks = "<|im_end|>";
  for (Token token = 256; token < tokenizer_->vocab(); ++token) marks += tokenizer_->Piece(token);
  using Role = ChatMessage::Role;
  const auto conversation = [](const std::string& text) {
    return std::vector<ChatMessage>{
        {Role::kUser, text}, {Role::kAssistant, text}, {Role::kUser, text}};
  };
  const auto special = [&](const std::vector<Token>& tokens) {
    std::vector<Token> found;
    for (const Token token : tokens) {
      if (tokenizer_->IsSpecial(token)) found.push_back(token);
    }
    return found;
  };
  EXPECT_EQ(special(chat_->Format(conversation(marks))), special(chat_->Format(conversation("a"))));
}

INSTANTIATE_TEST_SUITE_P(Templates, ChatGolden, testing::Range(size_t{0}, Templates().size()),
                         [](const auto& parameter) {
                           std::string name = Templates()[parameter.param]["name"];
                           for (char& c : name) c = c == '-' || c == '.' ? '_' : c;
                           return name;
                         });

TEST(ChatGolden, TheDemoModelsPromptsHaveTheReferencesTokens) {
  const char* model = std::getenv("QUANTSPEC_TEST_MODEL");
  if (model == nullptr) GTEST_SKIP() << "QUANTSPEC_TEST_MODEL names no model file";
  const LoadedModel source = LoadModel(model);
  const auto tokenizer = MakeTokenizer(*source.tokenizer);
  const auto chat = MakeChatTemplate({source.chat_template}, *source.tokenizer, *tokenizer);
  for (const Json& one : Templates().back()["cases"]) {
    EXPECT_EQ(chat->Format(Messages(one["messages"])), one["tokens"].get<std::vector<Token>>());
  }
}

}  // namespace
}  // namespace quantspec
