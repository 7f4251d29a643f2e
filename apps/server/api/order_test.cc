#include "server/api/order.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace quantspec::server {
namespace {

constexpr const char* kTemplate =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
    "{% if thinking is defined %}[{{ thinking }}]{% endif %}"
    "{% if reasoning_effort is defined %}[{{ reasoning_effort }}]{% endif %}";

class Orders : public ::testing::Test {
 protected:
  void SetUp() override {
    OpenWith(kTemplate);
    served_.name = "tiny";
    served_.context = 200;
    served_.defaults.max_tokens = 77;
    served_.defaults.sampling.temperature = 1;
  }

  void OpenWith(const std::string& chat_template) {
    EngineOptions options;
    options.model_path = QS_GOLDEN_DIR "/models/llama-gqa.gguf";
    options.chat_template = chat_template;
    file_ = ModelFile::Open(options);
    served_.file = file_.get();
  }
  Order Read(const std::string& body, Dialect dialect = Dialect::kChat) {
    return ReadOrder(dialect, served_, body, /*random_seed=*/99);
  }
  // `more` beside a message.
  Order Chat(const std::string& more) {
    return Read(R"({"messages": [{"role": "user", "content": "Hi"}])" +
                (more.empty() ? "" : ", " + more) + "}");
  }
  ApiError Refused(const std::string& body, Dialect dialect = Dialect::kChat) {
    try {
      Read(body, dialect);
    } catch (const ApiFailure& failure) {
      return failure.error;
    }
    ADD_FAILURE() << "was taken: " << body;
    return {};
  }
  ApiError RefusedChat(const std::string& more) {
    return Refused(R"({"messages": [{"role": "user", "content": "Hi"}], )" + more + "}");
  }
  std::string TextOf(const Order& order) { return file_->tokenizer().Decode(order.prompts.at(0)); }

  std::unique_ptr<ModelFile> file_;
  Served served_;
};

TEST_F(Orders, ReadAConversation) {
  const Order order = Read(
      R"({"messages": [{"role": "developer", "content": "Be brief."},
                       {"role": "user", "content": [{"type": "text", "text": "A"},
                                                    {"type": "text", "text": "B"}]},
                       {"role": "assistant", "content": null},
                       {"role": "user", "content": "C"}]})");
  EXPECT_NE(TextOf(order).find("<system>Be brief.\n<user>A\nB\n"), std::string::npos)
      << TextOf(order);
  EXPECT_NE(TextOf(order).find("<user>C\n<assistant>"), std::string::npos);
}

TEST_F(Orders, GiveAssistantsWithoutContentAnEmptyOne) {
  OpenWith("{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] }}{% endfor %}");
  for (const char* more : {"", R"(, "content": null)", R"(, "content": null, "tool_calls": [])",
                           R"(, "content": null, "tool_calls": [{"type": "function"}])"}) {
    const Order order = Read(R"({"messages": [{"role": "assistant")" + std::string(more) +
                             R"(}, {"role": "user", "content": "C"}]})");
    EXPECT_EQ(TextOf(order), "<assistant><user>C") << more;
  }
}

TEST_F(Orders, LeaveCallsOfToolsToTheTemplate) {
  OpenWith(
      "{% for m in messages %}{{ 'calls' if m.content is not defined else m.content }}"
      "{% endfor %}");
  const Order order = Read(
      R"({"messages": [{"role": "assistant", "content": null,
                        "tool_calls": [{"type": "function"}]}]})");
  EXPECT_EQ(TextOf(order), "calls");
}

TEST_F(Orders, TakeDefaultsWhereARequestDoesNotSay) {
  const Order order = Chat("");
  EXPECT_EQ(order.generate.max_tokens, 77);
  EXPECT_EQ(order.generate.sampling.temperature, 1);
  EXPECT_EQ(order.generate.sampling.seed, 99u);
  EXPECT_EQ(order.generate.logprobs, kNoLogprobs);
  EXPECT_EQ(order.answers, 1);
  EXPECT_FALSE(order.streams);
}

TEST_F(Orders, ReadEveryField) {
  const Order order = Chat(
      R"("stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 5,
         "max_tokens": 9, "temperature": 0, "top_p": 0.5, "top_k": -1, "min_p": 0.1, "seed": 7,
         "stop": ["x", ""], "n": 3, "logprobs": true, "top_logprobs": 4, "presence_penalty": 1.5,
         "frequency_penalty": -1, "logit_bias": {"5": -100, "6": 2.5}, "return_progress": true,
         "cache_digest": true, "cache_salt": "s", "tools": [], "tool_choice": "none",
         "response_format": {"type": "text"}, "unknown_field": [1, 2], "user": "u")");
  EXPECT_TRUE(order.streams && order.wants_usage && order.wants_progress && order.wants_digest);
  EXPECT_EQ(order.generate.max_tokens, 5) << "the newer field counts";
  EXPECT_EQ(order.generate.logprobs, 4);
  EXPECT_EQ(order.stops, std::vector<std::string>{"x"});
  EXPECT_EQ(order.answers, 3);
  EXPECT_EQ(order.salt, "s");
  const SamplingOptions& sampling = order.generate.sampling;
  EXPECT_EQ(sampling.temperature, 0);
  EXPECT_EQ(sampling.top_k, 0);
  EXPECT_FLOAT_EQ(sampling.min_p, 0.1f);
  EXPECT_EQ(sampling.seed, 7u);
  EXPECT_FLOAT_EQ(sampling.presence_penalty, 1.5f);
  EXPECT_FLOAT_EQ(sampling.frequency_penalty, -1);
  ASSERT_EQ(sampling.logit_bias.size(), 2u);
  EXPECT_EQ(sampling.logit_bias[1].token, 6);
  EXPECT_FLOAT_EQ(sampling.logit_bias[1].bias, 2.5f);
}

TEST_F(Orders, GiveTheTemplateItsVariables) {
  const Order order =
      Chat(R"("chat_template_kwargs": {"thinking": "off"}, "reasoning_effort": "low")");
  EXPECT_NE(TextOf(order).find("[off][low]"), std::string::npos) << TextOf(order);
}

TEST_F(Orders, NameTheFieldAtFault) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("temperature": "hot")", "temperature"},
      {R"("temperature": -1)", "temperature"},
      {R"("top_p": 2)", "top_p"},
      {R"("n": 0)", "n"},
      {R"("n": 1000)", "n"},
      {R"("stop": [1])", "stop"},
      {R"("seed": 9223372036854775808.0)", "seed"},
      {R"("max_tokens": 0)", "max_tokens"},
      {R"("logit_bias": {"x": 1})", "logit_bias"},
      {R"("logit_bias": {"5": 101})", "logit_bias"},
      {R"("logit_bias": {"999999": 1})", "logit_bias"},
      {R"("top_logprobs": 3)", "top_logprobs"},
      {R"("logprobs": true, "top_logprobs": 21)", "top_logprobs"},
      {R"("stream_options": {"include_usage": true})", "stream_options"},
      {R"("chat_template_kwargs": [])", "chat_template_kwargs"},
      {R"("tools": {})", "tools"},
      {R"("model": 5)", "model"}};
  for (const auto& [more, field] : cases) {
    const ApiError error = RefusedChat(more);
    EXPECT_EQ(error.status, 400) << more;
    EXPECT_EQ(error.param, field) << more << ": " << error.message;
  }
}

TEST_F(Orders, RefuseWhatIsNotThere) {
  for (const auto& [more, field] :
       {std::pair{R"("tools": [{"type": "function"}])", "tools"},
        {R"("tool_choice": "required")", "tool_choice"},
        {R"("response_format": {"type": "json_object"})", "response_format"},
        {R"("functions": [{}])", "functions"},
        {R"("guided_json": {"type": "object"})", "guided_json"},
        {R"("modalities": ["text", "audio"])", "modalities"}}) {
    const ApiError error = RefusedChat(more);
    EXPECT_EQ(error.code, "unsupported_parameter") << more;
    EXPECT_EQ(error.param, field) << more;
  }
  EXPECT_EQ(Refused(R"({"prompt": "x", "suffix": "y"})", Dialect::kText).param, "suffix");
  EXPECT_EQ(Refused(R"({"prompt": "x", "echo": true})", Dialect::kText).param, "echo");
}

TEST_F(Orders, RefuseWrongTypesOfWhatOnlyStreamsUse) {
  EXPECT_EQ(RefusedChat(R"("timings_per_token": "yes")").param, "timings_per_token");
  EXPECT_EQ(RefusedChat(R"("return_progress": 1)").param, "return_progress");
}

TEST_F(Orders, RefuseWhatIsNoConversation) {
  for (const char* messages :
       {"null", "[]", "\"Hi\"", "[\"Hi\"]", R"([{"role": "robot", "content": "Hi"}])",
        R"([{"content": "Hi"}])", R"([{"role": "user"}])", R"([{"role": "user", "content": 5}])",
        R"([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])",
        R"([{"role": "user", "content": [{"type": "text"}]}])"}) {
    EXPECT_EQ(Refused(std::string("{\"messages\": ") + messages + "}").param, "messages")
        << messages;
  }
}

TEST_F(Orders, RefuseAPromptThatFillsTheContext) {
  const std::string body =
      R"({"messages": [{"role": "user", "content": ")" + std::string(4000, 'a') + "\"}]}";
  const ApiError error = Refused(body);
  EXPECT_EQ(error.code, "context_length_exceeded");
  EXPECT_EQ(error.more["n_ctx"], 200);
  EXPECT_GT(error.more["n_prompt_tokens"], 200);
}

TEST_F(Orders, ReadPromptsOfAllKinds) {
  const auto read = [&](const std::string& prompt) {
    return Read("{\"prompt\": " + prompt + "}", Dialect::kText).prompts;
  };
  EXPECT_EQ(read("\"ab\"").size(), 1u);
  EXPECT_EQ(read(R"(["ab", "cd", "e"])").size(), 3u);
  EXPECT_EQ(read("[5, 6, 7]"), (std::vector<std::vector<Token>>{{5, 6, 7}}));
  EXPECT_EQ(read("[[5], [6, 7]]"), (std::vector<std::vector<Token>>{{5}, {6, 7}}));
  for (const char* prompt : {"null", "[]", "5", "{}", "[-1]", "[99999]", "[1.5]", "[[\"a\"]]"}) {
    EXPECT_EQ(Refused(std::string("{\"prompt\": ") + prompt + "}", Dialect::kText).param, "prompt")
        << prompt;
  }
  EXPECT_EQ(Read(R"({"prompt": "x", "n_predict": -1})", Dialect::kNative).prompts.size(), 1u);
}

}  // namespace
}  // namespace quantspec::server
