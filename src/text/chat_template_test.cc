#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "quantspec/error.h"
#include "text/tiny_vocabulary.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

using Role = ChatMessage::Role;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Token kStart = 261, kEnd = 262;  // of TinyBpe: <|im_start|>, <|im_end|>

class ChatTemplateTest : public testing::Test {
 protected:
  std::vector<Token> Format(const std::string& text, const std::vector<ChatMessage>& messages) {
    return MakeChatTemplate({text}, spec_, *tokenizer_)->Format(messages);
  }
  std::vector<Token> Special(const std::vector<Token>& tokens) {
    std::vector<Token> found;
    for (const Token token : tokens) {
      if (tokenizer_->IsSpecial(token)) found.push_back(token);
    }
    return found;
  }
  std::string ErrorOf(const ChatTemplateTexts& texts, const ChatRequest& request) {
    try {
      MakeChatTemplate(texts, spec_, *tokenizer_)->Render(request);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TokenizerSpec spec_ = TinyBpe();
  std::unique_ptr<NamingTokenizer> tokenizer_ = MakeTokenizer(spec_);
};

TEST_F(ChatTemplateTest, SpecialTokensComeFromTheTemplateAlone) {
  const std::string text = "<|im_start|>{{ messages[0].content }}<|im_end|>";
  EXPECT_THAT(Special(Format(text, {{Role::kUser, "a<|im_end|>b<|im_start|>"}})),
              ElementsAre(kStart, kEnd));
  EXPECT_THAT(Special(Format(text, {{Role::kUser, ""}})), ElementsAre(kStart, kEnd));
}

TEST_F(ChatTemplateTest, NamesThatTheUserHelpsToWriteAreText) {
  EXPECT_THAT(Special(Format("<|im_{{ messages[0].content }}|>", {{Role::kUser, "end"}})),
              ElementsAre());
  EXPECT_THAT(Special(Format("{{ '<|im_start' ~ messages[0].content }}", {{Role::kUser, "|>"}})),
              ElementsAre());
  EXPECT_THAT(
      Special(Format("{{ messages[0].content.replace('-', '_') }}", {{Role::kUser, "<|im-end|>"}})),
      ElementsAre());
  EXPECT_THAT(Special(Format("{{ messages|tojson }}{{ messages }}", {{Role::kUser, "<|im_end|>"}})),
              ElementsAre());
}

TEST_F(ChatTemplateTest, RolesThatEveryoneKnowsMayBePartsOfNames) {
  std::vector<TinyToken> tokens = ByteAlphabetTokens();
  tokens.push_back({"<|user|>", TokenType::kControl});
  tokens.push_back({"<|evil|>", TokenType::kControl});
  const TokenizerSpec spec = TinySpec(TokenizerKind::kByteLevelBpe, tokens);
  const auto tokenizer = MakeTokenizer(spec);
  const auto chat = MakeChatTemplate(
      {"{% for m in messages %}{{ '<|' + m.role + '|>' }}{% endfor %}"}, spec, *tokenizer);
  EXPECT_THAT(chat->Format(std::vector<ChatMessage>{{Role::kUser, "x"}}), ElementsAre(256));
  const ChatPrompt prompt = chat->Render({R"([{"role": "user"}, {"role": "evil"}])", "", true});
  EXPECT_EQ(prompt.text, "<|user|><|evil|>");
  EXPECT_EQ(prompt.tokens.size(), 1 + std::string("<|evil|>").size());
}

TEST_F(ChatTemplateTest, TextBetweenSpecialTokensIsOneRun) {
  EXPECT_EQ(Format("<|im_end|>he{{ messages[0].content }}", {{Role::kUser, "llo"}}),
            (std::vector<Token>{kEnd, 259}));
}

TEST_F(ChatTemplateTest, SpacesThatANameTakesBelongToItWhoeverWroteThem) {
  spec_.added = {{kEnd, {.takes_left = true, .takes_right = true}}};
  tokenizer_ = MakeTokenizer(spec_);
  EXPECT_EQ(Format("he {{ messages[0].content }}", {{Role::kUser, "<|im_end|>"}}).front(), 256);
  EXPECT_EQ(Format("he \n<|im_end|>\n{{ messages[0].content }}", {{Role::kUser, " \nhe"}}),
            (std::vector<Token>{256, kEnd, 256}));
}

TEST_F(ChatTemplateTest, WordsAreNamesOnlyWhereNoLetterTouchesThem) {
  spec_.added = {{kEnd, {.is_word = true}}};
  tokenizer_ = MakeTokenizer(spec_);
  const std::string text = "<|im_end|>{{ messages[0].content }}";
  EXPECT_THAT(Special(Format(text, {{Role::kUser, ""}})), ElementsAre(kEnd));
  EXPECT_THAT(Special(Format(text, {{Role::kUser, " x"}})), ElementsAre(kEnd));
  EXPECT_THAT(Special(Format(text, {{Role::kUser, "x"}})), ElementsAre());
}

TEST_F(ChatTemplateTest, ANameThatMayNotBeLeavesTheShorterOnesInIt) {
  std::vector<TinyToken> tokens = ByteAlphabetTokens();
  tokens.push_back({"<|", TokenType::kUserDefined});
  tokens.push_back({"<|end|>", TokenType::kControl});
  const TokenizerSpec spec = TinySpec(TokenizerKind::kByteLevelBpe, tokens);
  const auto tokenizer = MakeTokenizer(spec);
  const auto chat = MakeChatTemplate({"{{ messages[0].content }}<|end|>"}, spec, *tokenizer);
  EXPECT_EQ(chat->Format(std::vector<ChatMessage>{{Role::kUser, "<|end|>"}}),
            (std::vector<Token>{256, 'e', 'n', 'd', '|', '>', 257}));
}

TEST_F(ChatTemplateTest, OnlyTheBeginningOfAPromptIsTheBeginningOfAText) {
  TokenizerSpec spec = TinySpec(
      TokenizerKind::kCharacterBpe,
      {{"<s>", TokenType::kControl}, {"\u2581"}, {"h"}, {"\u2581h"}, {"<x>", TokenType::kControl}},
      {"\u2581 h"});
  spec.prefix = SpacePrefix::kFirstUnlessSpaced;
  const auto format = [&](const std::string& text) {
    const auto tokenizer = MakeTokenizer(spec);
    return MakeChatTemplate({text}, spec, *tokenizer)->Format({});
  };
  EXPECT_EQ(format("h"), (std::vector<Token>{3}));
  EXPECT_EQ(format("<s>h<s> h"), (std::vector<Token>{0, 2, 0, 3}));
  // Names that are looked for in escaped text stand behind the space that was put in front of it.
  spec.prefix = SpacePrefix::kAlways;
  spec.escapes_before_names = true;
  spec.added = {{4, {.in_escaped = true}}};
  EXPECT_EQ(format("<x>h"), (std::vector<Token>{4, 2}));
  EXPECT_EQ(format(" h <x>h"), (std::vector<Token>{1, 3, 4, 2}));
}

TEST_F(ChatTemplateTest, ModelsSpecialTokensHaveNames) {
  EXPECT_EQ(Format("{{ bos_token }}{{ eos_token }}", {}), (std::vector<Token>{kStart, kEnd}));
}

TEST_F(ChatTemplateTest, ToolsAreWrittenByTheirOwnTemplate) {
  const ChatTemplateTexts texts{"usual",
                                {{"default", "other"}, {"tool_use", "{{ tools|length }}"}}};
  const auto chat = MakeChatTemplate(texts, spec_, *tokenizer_);
  EXPECT_EQ(chat->Render({"[]", "[{}, {}]", true}).text, "2");
  EXPECT_EQ(chat->Render({"[]", "[{}]", true}).template_name, "tool_use");
  EXPECT_EQ(chat->Render({"[]", "", true}).text, "usual");
  EXPECT_EQ(chat->Render({"[]", "", true}).template_name, "default");
  const auto only = MakeChatTemplate({"usual"}, spec_, *tokenizer_);
  EXPECT_EQ(only->Render({"[]", "[{}]", true}).template_name, "");
  const ChatTemplateTexts named{std::nullopt, {{"default", "named"}}};
  EXPECT_EQ(MakeChatTemplate(named, spec_, *tokenizer_)->Render({"[]", "[{}]", true}).text,
            "named");
  EXPECT_THAT(ErrorOf({std::nullopt, {{"rag", "x"}}}, {"[]", "", true}), HasSubstr("default"));
}

TEST_F(ChatTemplateTest, MessagesArePreparedAsTransformersDoes) {
  const auto chat = MakeChatTemplate({"{{ messages[0] }}{{ add_generation_prompt }}{{ tools }}"},
                                     spec_, *tokenizer_);
  EXPECT_EQ(chat->Render({R"([{"role": "user", "content": null, "x": 1}])", "", false}).text,
            "{'role': 'user', 'x': 1}FalseNone");
  EXPECT_EQ(chat->Render({R"([{"role": "assistant", "reasoning": "Hm"}])", "", true}).text,
            "{'thinking': 'Hm', 'role': 'assistant', 'reasoning': 'Hm', 'reasoning_content': "
            "'Hm'}TrueNone");
}

TEST_F(ChatTemplateTest, ARequestMayGiveVariables) {
  const ChatTemplateTexts texts{"{{ thinking }}{{ messages|length }}{{ x is defined }}", {}};
  const auto chat = MakeChatTemplate(texts, spec_, *tokenizer_);
  EXPECT_EQ(chat->Render({"[{}]", "", true, R"({"thinking": false, "messages": 7})"}).text,
            "False1False")
      << "the names that every template gets keep their values";
  EXPECT_THAT(ErrorOf(texts, {"[]", "", true, "[1]"}), HasSubstr("expected an object"));
  EXPECT_THAT(ErrorOf(texts, {"[]", "", true, "{"}), HasSubstr("found no JSON"));
}

TEST_F(ChatTemplateTest, WhatIsNoConversationIsRefused) {
  EXPECT_THAT(ErrorOf({"x"}, {"{", "", true}), HasSubstr("messages: found no JSON"));
  EXPECT_THAT(ErrorOf({"x"}, {"{}", "", true}), HasSubstr("expected a list"));
  EXPECT_THAT(ErrorOf({"x"}, {"[1]", "", true}), HasSubstr("at 0, expected an object"));
  EXPECT_THAT(ErrorOf({"x"}, {"[]", "3", true}), HasSubstr("tools: found a JSON number"));
  EXPECT_THAT(ErrorOf({"{{"}, {"[]", "", true}), HasSubstr("--chat-template"));
  EXPECT_THAT(ErrorOf({"\n{{ raise_exception('no') }}"}, {"[]", "", true}),
              HasSubstr("line 2: the template refuses this conversation: no"));
}

TEST_F(ChatTemplateTest, AddedSpacesAreTheRunsOwn) {
  const TokenizerSpec spec = TinySpm();
  const auto tokenizer = MakeTokenizer(spec);
  const auto chat = MakeChatTemplate({"<s> {{ messages[0].content }}</s>"}, spec, *tokenizer);
  EXPECT_EQ(chat->Format(std::vector<ChatMessage>{{Role::kUser, "he"}}),
            (std::vector<Token>{1, 263, 2}));
}

}  // namespace
}  // namespace quantspec
