#include "cli/input_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "test_folder.h"

namespace quantspec::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class InputHistoryTest : public testing::Test {
 protected:
  const TestFolder folder_;
  const std::string path_ = folder_.path() + "/state/quantspec/chat-history";
};

TEST_F(InputHistoryTest, ComesBackWithLinesAndBackslashesAsTheyWere) {
  InputHistory first(path_);
  EXPECT_THAT(first.entries(), IsEmpty());
  for (const char* entry : {"one", "two\nlines\\n", "cr\rend\\", "\u4e2d"}) {
    EXPECT_TRUE(first.Add(entry));
  }
  const InputHistory second(path_);
  EXPECT_THAT(second.entries(), ElementsAre("one", "two\nlines\\n", "cr\rend\\", "\u4e2d"));
  EXPECT_EQ(second.problem(), "");
}

TEST_F(InputHistoryTest, OnlyItsUserCanReadTheFile) {
  InputHistory(path_).Add("a secret");
  chmod(path_.c_str(), 0644);
  InputHistory(path_).Add("another");
  struct stat status = {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((folder_.path() + "/state/quantspec").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

TEST_F(InputHistoryTest, LeavesOutRepetitionsEmptyAndHugeEntries) {
  InputHistory history(path_);
  history.Add("once");
  history.Add("once");
  history.Add("");
  history.Add(std::string(InputHistory::kMostBytes + 1, 'x'));
  EXPECT_THAT(history.entries(), ElementsAre("once"));
  EXPECT_THAT(InputHistory(path_).entries(), ElementsAre("once"));
}

TEST_F(InputHistoryTest, ALongFileIsShortenedToTheNewest) {
  std::filesystem::create_directories(folder_.path() + "/state/quantspec");
  std::ofstream file(path_);
  for (int i = 0; i < 2500; ++i) file << "entry " << i << "\n";
  file.close();
  EXPECT_EQ(InputHistory(path_).entries().size(), InputHistory::kMost);
  std::ifstream again(path_);
  std::string line;
  ASSERT_TRUE(std::getline(again, line));
  EXPECT_EQ(line, "entry 1500");
}

TEST_F(InputHistoryTest, KeepsNothingWithoutAPath) {
  InputHistory history("");
  EXPECT_TRUE(history.Add("text"));
  EXPECT_THAT(history.entries(), IsEmpty());
}

TEST_F(InputHistoryTest, AFileThatCannotBeWrittenIsAProblemAndNoMore) {
  InputHistory history("/proc/no/such/place");
  EXPECT_FALSE(history.Add("text"));
  EXPECT_NE(history.problem(), "");
}

}  // namespace
}  // namespace quantspec::cli
