#include "cli/conversation_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "quantspec/error.h"
#include "test_folder.h"

namespace quantspec::cli {
namespace {

using testing::HasSubstr;
using Role = ChatMessage::Role;

class ConversationFile : public testing::Test {
 protected:
  std::string Refusal(const std::string& text) {
    std::ofstream(path_) << text;
    try {
      LoadConversation(path_);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
      return error.what();
    }
    return "";
  }

  const TestFolder folder_;
  const std::string path_ = folder_.path() + "/talk.json";
};

TEST_F(ConversationFile, ComesBackAsItWas) {
  const std::vector<ChatMessage> messages = {
      {Role::kSystem, "Be \"brief\"."}, {Role::kUser, "two\nlines \u4e2d"}, {Role::kAssistant, ""}};
  SaveConversation(path_, {});
  SaveConversation(path_, messages);
  const std::vector<ChatMessage> loaded = LoadConversation(path_);
  ASSERT_EQ(loaded.size(), messages.size());
  for (size_t i = 0; i < loaded.size(); ++i) {
    EXPECT_EQ(loaded[i].role, messages[i].role);
    EXPECT_EQ(loaded[i].text, messages[i].text);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
}

TEST_F(ConversationFile, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(Refusal("hello"), HasSubstr("no JSON"));
  EXPECT_THAT(Refusal("{}"), HasSubstr("a JSON object"));
  EXPECT_THAT(Refusal("[{\"role\":\"user\",\"content\":\"a\"}, 3]"), HasSubstr("message 2"));
  EXPECT_THAT(Refusal("[{\"role\":\"tool\",\"content\":\"a\"}]"), HasSubstr("\"tool\""));
  EXPECT_THAT(Refusal("[{\"role\":\"user\"}]"), HasSubstr("no \"content\""));
  EXPECT_THAT(Refusal("[{\"role\":\"user\",\"content\":[]}]"), HasSubstr("a JSON array"));
}

TEST_F(ConversationFile, FilesThatCannotBeReachedAreErrors) {
  EXPECT_THROW(LoadConversation(path_), Error);
  EXPECT_THROW(SaveConversation(folder_.path() + "/none/talk.json", {}), Error);
}

}  // namespace
}  // namespace quantspec::cli
