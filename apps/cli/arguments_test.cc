#include "cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantspec/types.h"

namespace quantspec::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

template <typename Call>
std::string MessageOf(Call call) {
  try {
    call();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(ParseInteger, TakesTheWholeRangeAndNothingElse) {
  EXPECT_EQ(ParseInteger("--gamma", "0", 0, 16), 0);
  EXPECT_EQ(ParseInteger("--gamma", "16", 0, 16), 16);
  for (const char* bad : {"", "17", "-1", "1e12", "4x", " 4", "nan", "99999999999999999999"}) {
    EXPECT_THROW(ParseInteger("--gamma", bad, 0, 16), UsageError) << bad;
  }
}

TEST(ParseInteger, SaysWhatWasFoundAndExpected) {
  EXPECT_THAT(MessageOf([] { ParseInteger("--threads", "-1", 1, 1024); }),
              AllOf(HasSubstr("--threads"), HasSubstr("'-1'"), HasSubstr("from 1 to 1024")));
}

TEST(ParseOrAuto, TakesAutoAndTheWholeRangeAndNothingElse) {
  EXPECT_EQ(ParseOrAuto("--gamma", "auto", 16), kAuto);
  EXPECT_EQ(ParseOrAuto("--gamma", "0", 16), 0);
  EXPECT_EQ(ParseOrAuto("--gamma", "16", 16), 16);
  for (const char* bad : {"", "17", "-1", "Auto", "4x", "1e1", "99999999999999999999"}) {
    EXPECT_THAT(MessageOf([bad] { ParseOrAuto("--gamma", bad, 16); }),
                HasSubstr("auto or a whole number from 0 to 16"));
  }
}

TEST(ParseNumber, RefusesWhatIsNotFinite) {
  EXPECT_DOUBLE_EQ(ParseNumber("--top-p", "0.25", 0, 1), 0.25);
  for (const char* bad : {"nan", "inf", "-0.1", "1.01", "", "0,5", "1e400"}) {
    EXPECT_THROW(ParseNumber("--top-p", bad, 0, 1), UsageError) << bad;
  }
}

TEST(ParseUnsigned, TakesAll64Bits) {
  EXPECT_EQ(ParseUnsigned("--seed", "18446744073709551615"), UINT64_MAX);
  EXPECT_THROW(ParseUnsigned("--seed", "18446744073709551616"), UsageError);
  EXPECT_THROW(ParseUnsigned("--seed", "-1"), UsageError);
}

TEST(SplitList, NeedsAValueBetweenCommas) {
  EXPECT_THAT(SplitList("--depth", "0,4096"), ElementsAre("0", "4096"));
  for (const char* bad : {"", ",", "1,", ",1", "1,,2"}) {
    EXPECT_THROW(SplitList("--depth", bad), UsageError) << bad;
  }
}

TEST(EditDistance, CountsASwapOfNeighboursOnce) {
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("gamma", "gamma"), 0u);
  EXPECT_EQ(EditDistance("gmama", "gamma"), 1u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

TEST(NearestName, FindsTyposAndBeginningsButNoStrangers) {
  const std::vector<std::string> names = {"--gamma", "--temperature", "--top-k", "--top-p"};
  EXPECT_EQ(NearestName("--gama", names), "--gamma");
  EXPECT_EQ(NearestName("--temp", names), "--temperature");
  EXPECT_EQ(NearestName("--topk", names), "--top-k");
  EXPECT_EQ(NearestName("--unheard-of-thing", names), "");
}

TEST(Arguments, AnEmptyValueBecomesAnArgumentOfItsOwn) {
  const char* const given[] = {"generate", "--system=", "--quiet", "--prompt=a=", "--stop=",
                               "-",        "--=",       "=",       "--",          "--file="};
  EXPECT_EQ(SplitEmptyValues(given),
            (std::vector<std::string>{"generate", "--system", "", "--quiet", "--prompt=a=",
                                      "--stop", "", "-", "--=", "=", "--", "--file="}));
  EXPECT_TRUE(SplitEmptyValues({}).empty());
}

}  // namespace
}  // namespace quantspec::cli
