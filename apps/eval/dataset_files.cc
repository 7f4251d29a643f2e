#include "eval/dataset_files.h"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <system_error>
#include <utility>

#include "cli/documents.h"
#include "eval/byte_reader.h"
#include "eval/json_records.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

namespace fs = std::filesystem;

constexpr int kC4Texts = 1100;  // as many as GPTQ's script joins

bool EndsWith(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string WithoutGzip(const fs::path& path) {
  const std::string name = path.filename();
  return EndsWith(name, ".gz") ? name.substr(0, name.size() - 3) : name;
}

bool IsPlain(const fs::path& path) {
  const std::string name = WithoutGzip(path);
  return EndsWith(name, ".txt") || EndsWith(name, ".raw");
}

// Cuts after a whole character.
void CutText(std::string& text, size_t most) {
  if (text.size() <= most) return;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  text.resize(most);
}

std::string ReadPlain(const fs::path& path, size_t most) {
  ByteReader reader(path);
  cli::Document document{path, reader.ReadUpTo(most)};
  if (document.text.size() == most) CutText(document.text, most - 4);
  cli::CheckText(document);
  return std::move(document.text);
}

[[noreturn]] void ThrowParquet(const fs::path& path) {
  const std::string file = path.filename();
  throw Error(ErrorKind::kUnsupported,
              path.string() +
                  ": parquet is not read; convert it once, in its folder, with pandas "
                  "and pyarrow installed: python3 -c \"import pandas; "
                  "pandas.read_parquet('" +
                  file + "').to_json('" + path.stem().string() +
                  ".jsonl', orient='records', lines=True)\"");
}

[[noreturn]] void RefuseSeveral(const fs::path& folder, const std::vector<fs::path>& files) {
  std::string names;
  for (const fs::path& file : files) {
    names += (names.empty() ? "" : ", ") + file.lexically_relative(folder).string();
  }
  throw Error(ErrorKind::kUnsupported,
              folder.string() +
                  ": which file perplexity is to be measured on is not clear: found " + names +
                  "; leave the test or validation split there alone");
}

// The field `name`, whatever scalar it is, as text.
std::string Label(const JsonRecord& record, const char* name) {
  if (!record.value.is_object() || !record.value.contains(name)) return "";
  const auto& value = record.value[name];
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_integer() ? std::to_string(value.get<int64_t>()) : "";
}

// Rows of JSON lines or of one array.
void ReadRows(const fs::path& path, const OnRecord& on_record) {
  if (EndsWith(WithoutGzip(path), ".jsonl") || EndsWith(path.filename(), ".json.gz")) {
    ReadJsonLines(path, on_record);
  } else {
    ReadJsonValues(path, on_record);
  }
}

// The texts of text files one after the other, until `on_text` returns false.
void ReadEach(const fs::path& path, const std::function<bool(std::string, std::string)>& on_text) {
  for (const fs::path& file : TextFiles(path)) {
    bool goes_on = true;
    if (IsPlain(file)) {
      goes_on = on_text(file.stem(), ReadPlain(file, kMaxTextBytes));
    } else {
      ReadJsonLines(file, [&](JsonRecord& record) {
        std::string name = record.TextOr("title");
        if (name.empty()) name = fs::path(record.where).filename();
        std::string text = record.Text("text");
        CutText(text, kMaxTextBytes);
        return goes_on = on_text(std::move(name), std::move(text));
      });
    }
    if (!goes_on) return;
  }
}

}  // namespace

bool IsTextFile(const fs::path& path) {
  const std::string name = WithoutGzip(path);
  return IsPlain(path) || EndsWith(name, ".jsonl") || EndsWith(path.filename(), ".json.gz");
}

std::vector<fs::path> TextFiles(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    if (EndsWith(path.filename(), ".parquet")) ThrowParquet(path);
    return {path};
  }
  std::vector<fs::path> files, parquet;
  for (fs::recursive_directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->is_regular_file(error)) continue;
    if (IsTextFile(entry->path())) files.push_back(entry->path());
    if (EndsWith(entry->path().filename(), ".parquet")) parquet.push_back(entry->path());
  }
  if (error) throw Error(ErrorKind::kIo, path.string() + ": cannot be listed: " + error.message());
  std::sort(files.begin(), files.end());
  std::sort(parquet.begin(), parquet.end());
  if (files.empty() && !parquet.empty()) ThrowParquet(parquet.front());
  return files;
}

std::vector<EvalText> ReadTexts(const fs::path& path, int examples) {
  std::vector<EvalText> texts;
  if (examples <= 0) return texts;
  ReadEach(path, [&](std::string name, std::string text) {
    texts.push_back({"", std::move(name), std::move(text), "", {}});
    return static_cast<int>(texts.size()) < examples;
  });
  return texts;
}

std::vector<EvalText> ReadInfiniteBench(const fs::path& path, int examples) {
  std::vector<EvalText> texts;
  if (examples <= 0) return texts;
  ReadJsonLines(path, [&](JsonRecord& record) {
    EvalText text;
    text.name = Label(record, "id");
    text.text =
        "You are given a book and you are tasked to summarize it. Write a summary of about 1000 to "
        "1200 words. Only write about the plot and characters of the story. Do not discuss the "
        "themes or background of the book. Do not provide any analysis or commentary.\n\n" +
        record.Text("context") + ".";
    text.suffix = "\n\nNow summarize the book. Summary:";
    CutText(text.text, kMaxTextBytes);
    texts.push_back(std::move(text));
    return static_cast<int>(texts.size()) < examples;
  });
  return texts;
}

namespace {

// The one file of a split that perplexity is measured on: of those whose names say so the first
// shard, or the only file there is.
fs::path SplitFile(const fs::path& path, std::initializer_list<const char*> splits) {
  const std::vector<fs::path> files = TextFiles(path);
  for (const char* split : splits) {
    std::vector<fs::path> found;
    for (const fs::path& file : files) {
      const std::string name = file.filename();
      if (name.find(split) != std::string::npos) found.push_back(file);
    }
    const bool are_shards = std::all_of(found.begin(), found.end(), [](const fs::path& file) {
      return file.filename().string().find("-of-") != std::string::npos;
    });
    if (found.size() == 1 || (found.size() > 1 && are_shards)) return found.front();
    if (found.size() > 1) RefuseSeveral(path, found);
  }
  if (files.size() > 1) RefuseSeveral(path, files);
  return files.empty() ? fs::path() : files.front();
}

}  // namespace

std::vector<EvalText> ReadWikiText(const fs::path& path, int examples) {
  if (examples <= 0) return {};
  EvalText text;
  text.name = "test";
  bool is_first = true;
  // The rows of the hub's set are the file's lines; blank ones are empty.
  const auto add = [&](const std::string& row) {
    if (!is_first) text.text += "\n\n";
    is_first = false;
    if (row.find_first_not_of(" \t\r\n") != std::string::npos) text.text += row;
    return text.text.size() < kMaxTextBytes;
  };
  const fs::path file = SplitFile(path, {"test", "valid"});
  if (file.empty()) return {};
  if (IsPlain(file)) {
    ByteReader reader(file);
    std::string line;
    while (reader.NextLine(line) && add(line)) {
    }
  } else {
    ReadJsonLines(file, [&](JsonRecord& record) { return add(record.Text("text")); });
  }
  CutText(text.text, kMaxTextBytes);
  return {std::move(text)};
}

std::vector<EvalText> ReadC4(const fs::path& path, int examples) {
  if (examples <= 0) return {};
  EvalText text;
  text.name = "validation";
  int rows = 0;
  const fs::path file = SplitFile(path, {"validation"});
  if (file.empty()) return {};
  ReadEach(file, [&](const std::string&, const std::string& row) {
    text.text += (rows > 0 ? " " : "") + row;
    return ++rows < kC4Texts && text.text.size() < kMaxTextBytes;
  });
  CutText(text.text, kMaxTextBytes);
  return {std::move(text)};
}

std::vector<EvalText> ReadLongBench(const fs::path& path, int examples) {
  std::vector<EvalText> texts;
  if (examples <= 0) return texts;
  ReadRows(path, [&](JsonRecord& record) {
    EvalText text;
    text.name = Label(record, "_id");
    text.text = "Please read the following text and answer the question below.\n\n<text>\n" +
                record.Text("context");
    CutText(text.text, kMaxTextBytes);
    text.suffix =
        "\n</text>\n\nWhat is the correct answer to this question: " + record.Text("question") +
        "\nChoices:";
    for (const char* choice : {"A", "B", "C", "D"}) {
      text.suffix += std::string("\n(") + choice + ") " +
                     record.Text((std::string("choice_") + choice).c_str());
    }
    text.suffix +=
        "\n\nFormat your response as follows: \"The correct answer is (insert answer "
        "here)\".";
    text.answers = {"The correct answer is (" + record.Text("answer") + ")"};
    texts.push_back(std::move(text));
    return static_cast<int>(texts.size()) < examples;
  });
  return texts;
}

std::vector<EvalText> ReadRuler(const fs::path& path, int examples) {
  std::vector<EvalText> texts;
  for (const fs::path& file : TextFiles(path)) {
    if (static_cast<int>(texts.size()) >= examples) break;
    ReadRows(file, [&](JsonRecord& record) {
      EvalText text;
      text.name = file.stem().string() + " " + Label(record, "index");
      text.text = record.Text("input");
      // The question is the last line; it must survive a cut.
      const size_t newline = text.text.find_last_of('\n');
      if (newline != std::string::npos) {
        text.suffix = text.text.substr(newline);
        text.text.resize(newline);
      }
      CutText(text.text, kMaxTextBytes);
      const auto outputs = record.value.find("outputs");
      if (outputs == record.value.end() || !outputs->is_array()) {
        throw Error(ErrorKind::kCorrupt, record.where + ": expected an array 'outputs'");
      }
      for (const auto& output : *outputs) {
        text.answers.push_back(output.is_string() ? output.get<std::string>() : output.dump());
      }
      texts.push_back(std::move(text));
      return static_cast<int>(texts.size()) < examples;
    });
  }
  return texts;
}

}  // namespace quantspec::eval
