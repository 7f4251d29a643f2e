#include "eval/datasets.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "eval/builtin_texts.h"
#include "eval/dataset_files.h"
#include "eval/fingerprint.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

namespace fs = std::filesystem;

// A set that is known by name: its files lie in a folder of that name, or in the data folder.
struct KnownSet {
  const char* name;
  const char* page;             // of the hub
  std::string_view begin, end;  // of the names of its files; both empty: any text files
  const char* file;             // to get, for messages
  std::vector<EvalText> (*read)(const fs::path& path, int examples);
};

constexpr const char* kPairedSet = "multi_lexsum";  // its cases and documents are two files
constexpr int kMostBuiltin = 1000;                  // more texts than any built-in set has
constexpr const char* kHub = "https://huggingface.co/datasets/";

const std::vector<KnownSet>& KnownSets() {
  static const std::vector<KnownSet> sets = {
      {"pg19", "deepmind/pg19", "", "", "the .txt files of its test split (or .jsonl with 'text')",
       ReadTexts},
      {"infinitebench", "xinrongzhang2022/InfiniteBench", "longbook_sum_eng", ".jsonl",
       "longbook_sum_eng.jsonl", ReadInfiniteBench},
      {kPairedSet, "allenai/multi_lexsum", "test.json", "",
       "test.json and sources.json of "
       "v20230518",
       ReadMultiLexSum},
      {"wikitext2", "Salesforce/wikitext", "", "",
       "wiki.test.raw, or the parquet file of wikitext-2-raw-v1's test split, converted to .jsonl",
       ReadWikiText},
      {"c4", "allenai/c4", "", "", "en/c4-validation.00000-of-00008.json.gz", ReadC4},
      {"longbench_v2", "THUDM/LongBench-v2", "data.json", "", "data.json", ReadLongBench},
      {"ruler", "", "", "", "the .jsonl files that RULER's scripts generate", ReadRuler},
  };
  return sets;
}

bool Matches(const KnownSet& set, const std::string& name) {
  return name.starts_with(set.begin) && name.ends_with(set.end);
}

std::vector<fs::path> Entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error) {
    throw Error(ErrorKind::kIo, folder.string() + ": cannot be listed: " + error.message() +
                                    "; --data takes 'builtin' or a folder of data sets");
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

// What the set's reader takes, or nothing.
std::optional<fs::path> FindSet(const fs::path& data, const KnownSet& set) {
  std::error_code error;
  const fs::path folder = data / set.name;
  const bool has_folder = fs::is_directory(folder, error);
  if (set.begin.empty()) return has_folder ? std::optional(folder) : std::nullopt;
  const bool is_pair = std::string_view(set.name) == kPairedSet;
  for (const fs::path& place : {folder, data}) {
    if (place == folder && !has_folder) continue;
    for (const fs::path& file : Entries(place)) {
      if (!Matches(set, file.filename())) continue;
      if (!is_pair) return file;
      if (fs::exists(place / "sources.json", error)) return place;
    }
  }
  return std::nullopt;
}

[[noreturn]] void ThrowMissing(const fs::path& data, const KnownSet& set) {
  const std::string from = set.page[0] == '\0' ? "" : std::string(" from ") + kHub + set.page;
  throw Error(ErrorKind::kIo, "the data set '" + std::string(set.name) + "' is not in " +
                                  data.string() + ": get " + set.file + from + " and put it into " +
                                  (data / set.name).string() + "/ (see docs/data.md)");
}

std::string WithoutEnding(const fs::path& path) {
  const std::string name = path.filename();
  return name.substr(0, name.find('.'));
}

const std::vector<std::string>& BuiltinNames() {
  static const std::vector<std::string> names = {"novel", "story",   "jargon",
                                                 "code",  "spanish", kNeedles};
  return names;
}

std::vector<EvalText> LoadBuiltin(const std::string& dataset, int examples) {
  std::vector<EvalText> texts;
  const std::string source = dataset == kNeedles ? "novel" : dataset;
  for (const BuiltinText& builtin : BuiltinTexts()) {
    const bool belongs = builtin.name == source || builtin.name.starts_with(source + "-");
    if (!belongs || static_cast<int>(texts.size()) >= examples) continue;
    EvalText text{dataset, std::string(builtin.name), std::string(builtin.text), "", {}};
    if (dataset == "story") text.suffix = "\n\nNow summarize this story in one paragraph. Summary:";
    texts.push_back(std::move(text));
  }
  return texts;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

// Files and folders of the user's own, by name.
std::vector<std::pair<std::string, fs::path>> OwnSets(const fs::path& data) {
  std::vector<std::pair<std::string, fs::path>> own;
  for (const fs::path& entry : Entries(data)) {
    std::error_code error;
    const std::string name = WithoutEnding(entry);
    const bool is_known =
        std::any_of(KnownSets().begin(), KnownSets().end(), [&](const KnownSet& set) {
          return name == set.name || (!set.begin.empty() && Matches(set, entry.filename()));
        });
    if (is_known || name.empty()) continue;
    const bool has_texts =
        fs::is_directory(entry, error) ? !TextFiles(entry).empty() : IsTextFile(entry);
    if (has_texts) own.emplace_back(name, entry);
  }
  return own;
}

}  // namespace

std::vector<std::string> DatasetNames(const std::string& data) {
  if (data == kBuiltinData) return BuiltinNames();
  std::vector<std::string> names;
  for (const KnownSet& set : KnownSets()) {
    if (FindSet(data, set)) names.emplace_back(set.name);
  }
  for (const auto& [name, path] : OwnSets(data)) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  if (names.empty()) {
    throw Error(ErrorKind::kIo, data +
                                    ": has no data set; expected .txt or .jsonl files, or a "
                                    "folder named after one (see docs/data.md)");
  }
  return names;
}

namespace {

const KnownSet* FindKnown(const std::string& dataset) {
  for (const KnownSet& set : KnownSets()) {
    if (set.name == dataset) return &set;
  }
  return nullptr;
}

// Where the files of a set in a folder are.
fs::path PlaceOf(const std::string& data, const std::string& dataset) {
  if (const KnownSet* known = FindKnown(dataset)) {
    const auto path = FindSet(data, *known);
    if (!path) ThrowMissing(data, *known);
    return *path;
  }
  for (const auto& [name, path] : OwnSets(data)) {
    if (name == dataset) return path;
  }
  throw Error(ErrorKind::kIo,
              data + ": has no data set '" + dataset + "'; found " + Listed(DatasetNames(data)));
}

void CheckBuiltin(const std::string& dataset) {
  const auto& names = BuiltinNames();
  if (std::find(names.begin(), names.end(), dataset) != names.end()) return;
  throw Error(ErrorKind::kUsage, "no built-in data set is named '" + dataset +
                                     "'; expected one of " + Listed(names) +
                                     ", or --data DIR for files of others");
}

}  // namespace

std::vector<EvalText> LoadDataset(const std::string& data, const std::string& dataset,
                                  int examples) {
  if (data == kBuiltinData) {
    CheckBuiltin(dataset);
    return LoadBuiltin(dataset, examples);
  }
  const fs::path place = PlaceOf(data, dataset);
  const KnownSet* known = FindKnown(dataset);
  std::vector<EvalText> texts = (known != nullptr ? known->read : ReadTexts)(place, examples);
  if (known != nullptr && texts.empty() && examples > 0) ThrowMissing(data, *known);
  for (EvalText& text : texts) text.dataset = dataset;
  return texts;
}

uint64_t HashDataset(const std::string& data, const std::string& dataset) {
  uint64_t hash = kHashStart;
  if (data == kBuiltinData) {
    CheckBuiltin(dataset);
    for (const EvalText& text : LoadBuiltin(dataset, kMostBuiltin)) {
      hash = HashBytes(text.suffix, HashBytes(text.text, hash));
    }
    return hash;
  }
  const fs::path place = PlaceOf(data, dataset);
  std::vector<fs::path> files = {place / "test.json", place / "sources.json"};
  if (dataset != kPairedSet) files = TextFiles(place);
  for (const fs::path& file : files) {
    hash = HashFile(file, HashBytes(file.lexically_relative(place).string() + ":", hash));
  }
  return hash;
}

}  // namespace quantspec::eval
