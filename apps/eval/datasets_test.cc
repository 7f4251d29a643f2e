#include "eval/datasets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "eval/data_folder.h"

namespace quantspec::eval {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

const char* kCase1 =
    R"({"case_id": "EE-1", "case_documents": ["d1", "d3"], "summary/short": "Short."})";
const char* kCase2 = R"({"case_id": "EE-2", "case_documents": ["d2"], "summary/short": null})";
const char* kCase3 = R"({"case_id": "EE-3", "case_documents": ["d2"], "summary/short": "S."})";
const char* kSources = R"({"d0": {"doc_text": "zero"}, "d1": {"doc_text": "one"},
  "d2": {"doc_title": "t", "doc_text": "two \u00e9"}, "d3": "three"})";
const char* kLongBench = R"([{"_id": "66", "context": "Once.", "question": "Who?", "choice_A": "a",
  "choice_B": "b", "choice_C": "c", "choice_D": "d", "answer": "B"},
  {"_id": "67", "context": "Twice.", "question": "How?", "choice_A": "a",
  "choice_B": "b", "choice_C": "c", "choice_D": "d", "answer": "C"}])";

// Every set as its users download it.
void WriteAll(const DataFolder& folder) {
  folder.Write("pg19/test/10146.txt", "A book.");
  folder.Write("pg19/test/10321.txt", "Another.");
  folder.Write("infinitebench/longbook_sum_eng.jsonl",
               "{\"id\": 3, \"context\": \"A novel\", \"input\": \"\", \"answer\": [\"s\"], "
               "\"options\": []}\n\n");
  folder.Write("multi_lexsum/test.json",
               std::string(kCase1) + "\n" + kCase2 + "\n" + kCase3 + "\n");
  folder.Write("multi_lexsum/sources.json", kSources);
  folder.Write("wikitext2/wiki.test.raw", " \n = Title = \n \n Body . \n");
  folder.WriteGzip("c4/en/c4-validation.00000-of-00008.json.gz",
                   "{\"text\":\"one\",\"url\":\"u\"}\n{\"text\":\"two\"}\n");
  folder.Write("longbench_v2/data.json", kLongBench);
  folder.Write("ruler/niah_single_1.jsonl",
               "{\"index\": 0, \"input\": \"Long text.\\nWhat is it?\", \"outputs\": [\"42\", 7], "
               "\"length\": 4096}\n");
  folder.Write("mine.txt", "My text.");
  folder.Write("rows.jsonl",
               "{\"text\": \"row one\"}\r\n{\"text\": \"row two\", \"title\": \"T\"}");
}

TEST(DatasetNames, AreThoseThatAreThere) {
  EXPECT_THAT(DatasetNames("builtin"),
              ElementsAre("novel", "story", "jargon", "code", "spanish", "needles"));
  const DataFolder folder;
  EXPECT_THAT(MessageOf([&] { DatasetNames(folder.path()); }), HasSubstr("has no data set"));
  folder.Write("notes.md", "no text");
  folder.Write("multi_lexsum/test.json", "[]");  // not without sources.json
  folder.Write("zebra/one.txt", "x");
  EXPECT_THAT(DatasetNames(folder.path()), ElementsAre("zebra"));
  WriteAll(folder);
  EXPECT_THAT(DatasetNames(folder.path()),
              ElementsAre("pg19", "infinitebench", "multi_lexsum", "wikitext2", "c4",
                          "longbench_v2", "ruler", "mine", "rows", "zebra"));
  EXPECT_THAT(MessageOf([] { DatasetNames("/nonexistent"); }),
              AllOf(HasSubstr("/nonexistent"), HasSubstr("builtin")));
}

TEST(LoadDataset, HasTheBuiltinTexts) {
  const auto novel = LoadDataset("builtin", "novel", 5);
  ASSERT_THAT(novel, SizeIs(2));
  EXPECT_EQ(novel[0].name, "novel-beginning");
  EXPECT_EQ(novel[1].dataset, "novel");
  EXPECT_THAT(LoadDataset("builtin", "novel", 1), SizeIs(1));
  EXPECT_THAT(LoadDataset("builtin", "story", 1)[0].suffix, HasSubstr("summarize"));
  EXPECT_THAT(MessageOf([] { LoadDataset("builtin", "pg19", 1); }),
              AllOf(HasSubstr("'pg19'"), HasSubstr("novel, story")));
}

TEST(LoadDataset, ReadsBooks) {
  const DataFolder folder;
  WriteAll(folder);
  const auto books = LoadDataset(folder.path(), "pg19", 10);
  ASSERT_THAT(books, SizeIs(2));
  EXPECT_EQ(books[0].name, "10146");
  EXPECT_EQ(books[0].text, "A book.");
  EXPECT_EQ(books[1].dataset, "pg19");
  EXPECT_THAT(LoadDataset(folder.path(), "pg19", 1), SizeIs(1));
  EXPECT_THAT(LoadDataset(folder.path(), "pg19", 0), SizeIs(0));

  folder.Write("pg19/test/00.jsonl", "{\"title\": \"T\", \"date\": 1, \"text\": \"Text\"}\n");
  EXPECT_EQ(LoadDataset(folder.path(), "pg19", 1)[0].name, "T");
  const auto novel = LoadDataset(folder.path(), "infinitebench", 10);
  ASSERT_THAT(novel, SizeIs(1));
  EXPECT_EQ(novel[0].name, "3");
  EXPECT_THAT(novel[0].text, AllOf(StartsWith("You are given a book"), EndsWith("\n\nA novel.")));
  EXPECT_EQ(novel[0].suffix, "\n\nNow summarize the book. Summary:");
}

TEST(LoadDataset, JoinsTheDocumentsOfCasesWithAShortSummary) {
  const DataFolder folder;
  WriteAll(folder);
  const std::string array = std::string("[") + kCase1 + ",\n" + kCase2 + ",\n" + kCase3 + "]";
  const std::string object =
      std::string("{\"EE-1\": ") + kCase1 + ", \"b\": " + kCase2 + ", \"c\": " + kCase3 + "}";
  for (const std::string& cases : {std::string(), array, object}) {
    if (!cases.empty()) folder.Write("multi_lexsum/test.json", cases);
    const auto texts = LoadDataset(folder.path(), "multi_lexsum", 10);
    ASSERT_THAT(texts, SizeIs(2));
    EXPECT_EQ(texts[0].name, "EE-1");
    EXPECT_THAT(texts[0].text, AllOf(StartsWith("\nYou are given the legal documents"),
                                     EndsWith("Legal documents:\none\n\nthree")));
    EXPECT_THAT(texts[1].text, EndsWith("two \u00e9"));
    EXPECT_EQ(texts[1].suffix, "\n\nNow please summarize the case. Summary:");
    EXPECT_THAT(LoadDataset(folder.path(), "multi_lexsum", 1), SizeIs(1));
  }
  folder.Write("multi_lexsum/sources.json", R"([{"doc_id": "d1", "doc_text": "one"}])");
  EXPECT_THAT(MessageOf([&] { LoadDataset(folder.path(), "multi_lexsum", 1); }),
              AllOf(HasSubstr("no document 'd3'"), HasSubstr("EE-1")));
}

TEST(LoadDataset, JoinsWikiTextAndC4AsPerplexityWantsThem) {
  const DataFolder folder;
  WriteAll(folder);
  const auto wiki = LoadDataset(folder.path(), "wikitext2", 9);
  ASSERT_THAT(wiki, SizeIs(1));
  EXPECT_EQ(wiki[0].text, "\n\n = Title = \n\n\n\n\n Body . \n");
  const auto c4 = LoadDataset(folder.path(), "c4", 9);
  ASSERT_THAT(c4, SizeIs(1));
  EXPECT_EQ(c4[0].text, "one two");

  std::string many;
  for (int i = 0; i < 1200; ++i) many += "{\"text\": \"x\"}\n";
  folder.WriteGzip("c4/en/c4-validation.00000-of-00008.json.gz", many);
  EXPECT_EQ(LoadDataset(folder.path(), "c4", 1)[0].text.size(), 2u * 1100 - 1);
}

TEST(LoadDataset, MeasuresPerplexityOnOneSplit) {
  const DataFolder folder;
  WriteAll(folder);
  folder.Write("wikitext2/wiki.train.raw", "training\n");
  folder.Write("wikitext2/wiki.valid.raw", "validation\n");
  EXPECT_THAT(LoadDataset(folder.path(), "wikitext2", 1)[0].text, HasSubstr("Body"));
  std::filesystem::remove(folder.path() + "/wikitext2/wiki.test.raw");
  EXPECT_EQ(LoadDataset(folder.path(), "wikitext2", 1)[0].text, "validation\n");
  std::filesystem::remove(folder.path() + "/wikitext2/wiki.valid.raw");
  folder.Write("wikitext2/other.raw", "other\n");
  EXPECT_THAT(MessageOf([&] { LoadDataset(folder.path(), "wikitext2", 1); }),
              AllOf(HasSubstr("other.raw, wiki.train.raw"), HasSubstr("validation split")));

  folder.WriteGzip("c4/en/c4-train.00000-of-01024.json.gz", "{\"text\":\"train\"}\n");
  folder.WriteGzip("c4/en/c4-validation.00001-of-00008.json.gz", "{\"text\":\"second\"}\n");
  EXPECT_EQ(LoadDataset(folder.path(), "c4", 1)[0].text, "one two");
  std::filesystem::remove(folder.path() + "/c4/en/c4-validation.00000-of-00008.json.gz");
  std::filesystem::remove(folder.path() + "/c4/en/c4-validation.00001-of-00008.json.gz");
  folder.WriteGzip("c4/en/c4-train.00001-of-01024.json.gz", "{\"text\":\"train\"}\n");
  EXPECT_THAT(MessageOf([&] { LoadDataset(folder.path(), "c4", 1); }), HasSubstr("c4-train.00001"));
}

TEST(HashDataset, ChangesWithWhatASetHolds) {
  const DataFolder folder, other;
  WriteAll(folder);
  WriteAll(other);
  std::vector<std::string> sets = DatasetNames(folder.path());
  for (const std::string& set : sets) {
    EXPECT_EQ(HashDataset(folder.path(), set), HashDataset(other.path(), set)) << set;
  }
  const auto changes = [&](const std::string& set, const std::string& file,
                           const std::string& bytes) {
    const uint64_t before = HashDataset(other.path(), set);
    other.Write(file, bytes);
    return HashDataset(other.path(), set) != before;
  };
  EXPECT_TRUE(changes("pg19", "pg19/test/10146.txt", "A Book."));
  EXPECT_TRUE(changes("pg19", "pg19/test/10147.txt", "A third."));
  EXPECT_TRUE(changes("multi_lexsum", "multi_lexsum/sources.json", "{}"));
  EXPECT_TRUE(changes("mine", "mine.txt", "My test."));
  EXPECT_FALSE(changes("rows", "mine.txt", "Yours."));
  EXPECT_NE(HashDataset("builtin", "novel"), HashDataset("builtin", "code"));
  EXPECT_THROW(HashDataset("builtin", "pg19"), Error);
  EXPECT_THROW(HashDataset(other.path(), "none"), Error);
}

TEST(LoadDataset, ReadsQuestionsWithTheirAnswers) {
  const DataFolder folder;
  WriteAll(folder);
  const auto bench = LoadDataset(folder.path(), "longbench_v2", 9);
  ASSERT_THAT(bench, SizeIs(2));
  EXPECT_EQ(bench[0].name, "66");
  EXPECT_THAT(bench[0].text, EndsWith("<text>\nOnce."));
  EXPECT_THAT(bench[0].suffix, AllOf(HasSubstr("Who?"), HasSubstr("\n(D) d\n")));
  EXPECT_THAT(bench[1].answers, ElementsAre("The correct answer is (C)"));
  const auto ruler = LoadDataset(folder.path(), "ruler", 9);
  ASSERT_THAT(ruler, SizeIs(1));
  EXPECT_EQ(ruler[0].text, "Long text.");
  EXPECT_EQ(ruler[0].suffix, "\nWhat is it?");
  EXPECT_THAT(ruler[0].answers, ElementsAre("42", "7"));
}

TEST(LoadDataset, ReadsTheUsersOwnFiles) {
  const DataFolder folder;
  WriteAll(folder);
  EXPECT_EQ(LoadDataset(folder.path(), "mine", 1)[0].text, "My text.");
  const auto rows = LoadDataset(folder.path(), "rows", 9);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].name, "rows.jsonl:1");
  EXPECT_EQ(rows[1].name, "T");
  EXPECT_THAT(MessageOf([&] { LoadDataset(folder.path(), "other", 1); }),
              AllOf(HasSubstr("no data set 'other'"), HasSubstr("mine, rows")));
}

TEST(LoadDataset, SaysWhichFileToGetAndWhereToPutIt) {
  const DataFolder folder;
  folder.Write("mine.txt", "x");
  EXPECT_THAT(MessageOf([&] { LoadDataset(folder.path(), "multi_lexsum", 1); }),
              AllOf(HasSubstr("test.json and sources.json"),
                    HasSubstr("huggingface.co/datasets/allenai/multi_lexsum"),
                    HasSubstr(folder.path() + "/multi_lexsum/")));
  folder.Write("wikitext2/test-00000-of-00001.parquet", "PAR1");
  EXPECT_THAT(MessageOf([&] { LoadDataset(folder.path(), "wikitext2", 1); }),
              AllOf(HasSubstr("test-00000-of-00001.parquet"), HasSubstr("read_parquet"),
                    HasSubstr("to_json('test-00000-of-00001.jsonl'")));
}

TEST(LoadDataset, NamesFileAndLineOfWhatIsMalformed) {
  const DataFolder folder;
  WriteAll(folder);
  const auto message = [&](const std::string& set, const std::string& file,
                           const std::string& bytes) {
    folder.Write(file, bytes);
    return MessageOf([&] { LoadDataset(folder.path(), set, 10); });
  };
  EXPECT_THAT(message("rows", "rows.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"\n"),
              HasSubstr("rows.jsonl:2: "));
  EXPECT_THAT(message("rows", "rows.jsonl", "{\"text\": 4}"),
              AllOf(HasSubstr("rows.jsonl:1: "), HasSubstr("a number")));
  EXPECT_THAT(message("rows", "rows.jsonl", "[1]"), HasSubstr("no object"));
  EXPECT_THAT(message("infinitebench", "infinitebench/longbook_sum_eng.jsonl", "{\"id\": 1}"),
              AllOf(HasSubstr("'context'"), HasSubstr("no such field")));
  EXPECT_THAT(message("longbench_v2", "longbench_v2/data.json", "[{\"_id\": \"1\"\n,]"),
              AllOf(HasSubstr("data.json"), HasSubstr("line 2")));
  EXPECT_THAT(message("longbench_v2", "longbench_v2/data.json", "7"), HasSubstr("single value"));
  EXPECT_THAT(message("mine", "mine.txt", std::string("a\0b", 3)), HasSubstr("byte 1 is NUL"));
  EXPECT_THAT(message("ruler", "ruler/niah_single_1.jsonl", "{\"input\": \"a\"}"),
              HasSubstr("'outputs'"));
  EXPECT_THAT(message("multi_lexsum", "multi_lexsum/test.json",
                      "[{\"case_id\": \"1\", \"summary/short\": \"s\"}]"),
              HasSubstr("'case_documents'"));
}

// Whatever the bytes are, an Error or texts come out.
void LoadAll(const DataFolder& folder, const std::string& set) {
  MessageOf([&] { LoadDataset(folder.path(), set, 10); });
}

TEST(LoadDataset, SurvivesEveryPrefixOfItsFiles) {
  const DataFolder folder;
  WriteAll(folder);
  const std::vector<std::array<std::string, 3>> files = {
      {"longbench_v2", "longbench_v2/data.json", kLongBench},
      {"multi_lexsum", "multi_lexsum/sources.json", kSources},
      {"multi_lexsum", "multi_lexsum/test.json", std::string("[") + kCase1 + "," + kCase3 + "]"},
      {"rows", "rows.jsonl", "{\"text\": \"row \\u00e9\"}\n{\"text\": \"\xC3\xA9\"}\n"}};
  for (const auto& [set, file, bytes] : files) {
    folder.Write(file, bytes);
    const bool is_whole =
        MessageOf([&, name = set] { LoadDataset(folder.path(), name, 10); }).empty();
    EXPECT_TRUE(is_whole) << file;
    for (size_t size = 0; size < bytes.size(); ++size) {
      folder.Write(file, bytes.substr(0, size));
      LoadAll(folder, set);
    }
    folder.Write(file, bytes);
  }
}

TEST(LoadDataset, RefusesCompressedDataThatEndsEarly) {
  const DataFolder folder;
  WriteAll(folder);
  std::mt19937 random(3);
  std::string text;
  for (int i = 0; i < 4000; ++i) text += static_cast<char>('a' + random() % 26);
  const std::string path = folder.WriteGzip("c4/en/c4-validation.00000-of-00008.json.gz",
                                            "{\"text\": \"" + text + "\"}\n");
  EXPECT_EQ(LoadDataset(folder.path(), "c4", 1)[0].text, text);
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  for (size_t size = 2; size < bytes.size(); size += 97) {
    folder.Write("c4/en/c4-validation.00000-of-00008.json.gz", bytes.substr(0, size));
    EXPECT_NE(MessageOf([&] { LoadDataset(folder.path(), "c4", 1); }), "") << size;
  }
  std::string broken = bytes;
  broken[bytes.size() / 2] ^= 0x55;
  folder.Write("c4/en/c4-validation.00000-of-00008.json.gz", broken);
  EXPECT_NE(MessageOf([&] { LoadDataset(folder.path(), "c4", 1); }), "");
}

TEST(LoadDataset, SurvivesRandomBytes) {
  std::mt19937 random(11);
  const DataFolder folder;
  WriteAll(folder);
  const std::string alphabet = "{}[]\",:\\u0e1 \n\xC3\xA9\x1F\x8B";
  for (int round = 0; round < 300; ++round) {
    std::string bytes = round % 2 == 0 ? kLongBench : kSources;
    for (int change = 0; change < 4; ++change) {
      bytes[random() % bytes.size()] = alphabet[random() % alphabet.size()];
    }
    folder.Write("longbench_v2/data.json", bytes);
    folder.Write("multi_lexsum/sources.json", bytes);
    folder.Write("rows.jsonl", bytes);
    folder.Write("c4/en/c4-validation.00000-of-00008.json.gz", bytes);
    for (const char* set : {"longbench_v2", "multi_lexsum", "rows", "c4"}) LoadAll(folder, set);
  }
  folder.Write("rows.jsonl", std::string(1 << 20, '['));
  folder.Write("longbench_v2/data.json", std::string(1 << 20, '['));
  LoadAll(folder, "rows");
  LoadAll(folder, "longbench_v2");
}

TEST(LoadDataset, TakesOnlySoMuchOfAText) {
  const DataFolder folder;
  std::string text;
  while (text.size() <= kMaxTextBytes + 1000) text += "\u20ac uro ";
  folder.Write("big.txt", text);
  const auto big = LoadDataset(folder.path(), "big", 1);
  EXPECT_LE(big[0].text.size(), kMaxTextBytes);
  EXPECT_GT(big[0].text.size(), kMaxTextBytes - 16);
  EXPECT_EQ(text.compare(0, big[0].text.size(), big[0].text), 0);
}

}  // namespace
}  // namespace quantspec::eval
