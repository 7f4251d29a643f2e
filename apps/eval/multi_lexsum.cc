// Multi-LexSum: cases in test.json, whose documents are in sources.json, 2.2 GB that are read once
// from end to end and never held.
#include <algorithm>
#include <map>
#include <utility>

#include "eval/byte_reader.h"
#include "eval/dataset_files.h"
#include "eval/json_records.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInstruction =
    "\nYou are given the legal documents in a civil rights lawsuit, and you are tasked to "
    "summarize the case. Write a concise summary of one paragraph (200 to 250 words). The summary "
    "should contain a short description of the background, the parties involved, and the outcomes "
    "of the case.\n\nLegal documents:\n";

struct Case {
  std::string name;
  std::vector<std::string> documents;  // ids
};

std::string IdOf(const nlohmann::json& id) {
  return id.is_string() ? id.get<std::string>() : id.dump();
}

// A case with a short summary, as the paper takes only those; none of another.
bool ReadCase(const JsonRecord& record, Case& found) {
  if (!record.value.is_object()) {
    throw Error(ErrorKind::kCorrupt, record.where + ": expected a case, an object");
  }
  const std::string summary = record.TextOr("summary/short") + record.TextOr("summary_short");
  if (summary.empty()) return false;
  for (const char* field : {"case_documents", "documents", "sources"}) {
    const auto documents = record.value.find(field);
    if (documents == record.value.end() || !documents->is_array()) continue;
    for (const auto& id : *documents) found.documents.push_back(IdOf(id));
    break;
  }
  for (const char* field : {"case_id", "id"}) {
    if (found.name.empty() && record.value.contains(field)) found.name = IdOf(record.value[field]);
  }
  if (found.name.empty()) found.name = record.key;
  if (found.documents.empty()) {
    throw Error(ErrorKind::kCorrupt,
                record.where + ": expected the ids of its documents in 'case_documents'");
  }
  return true;
}

// The set's versions come as one case a line, or as one array or object of cases.
bool IsCaseALine(const fs::path& path) {
  std::string line;
  ByteReader(path).NextLine(line);
  const auto first = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  return first.is_object() && (first.contains("case_documents") || first.contains("case_id"));
}

std::vector<Case> ReadCases(const fs::path& path, int examples) {
  std::vector<Case> cases;
  const OnRecord add = [&](JsonRecord& record) {
    Case found;
    if (ReadCase(record, found)) cases.push_back(std::move(found));
    return static_cast<int>(cases.size()) < examples;
  };
  if (examples <= 0) return cases;
  if (IsCaseALine(path)) {
    ReadJsonLines(path, add);
  } else {
    ReadJsonValues(path, add);
  }
  return cases;
}

// A document is a text, or an object with it.
std::string DocumentText(JsonRecord& record) {
  if (record.value.is_string()) return std::move(record.value.get_ref<std::string&>());
  const std::string text = record.TextOr("doc_text");
  return text.empty() ? record.Text("text") : text;
}

}  // namespace

std::vector<EvalText> ReadMultiLexSum(const fs::path& folder, int examples) {
  const std::vector<Case> cases = ReadCases(folder / "test.json", examples);
  std::map<std::string, std::string> documents;
  for (const Case& one : cases) {
    for (const std::string& id : one.documents) documents[id];
  }
  size_t missing = documents.size();
  if (missing > 0) {
    ReadJsonValues(folder / "sources.json", [&](JsonRecord& record) {
      std::string id = record.key;
      if (id.empty() && record.value.is_object()) {
        for (const char* field : {"doc_id", "id"}) {
          if (id.empty() && record.value.contains(field)) id = IdOf(record.value[field]);
        }
      }
      const auto wanted = documents.find(id);
      if (wanted == documents.end() || !wanted->second.empty()) return true;
      wanted->second = DocumentText(record);
      return --missing > 0;
    });
  }
  std::vector<EvalText> texts;
  for (const Case& one : cases) {
    EvalText text;
    text.name = one.name;
    text.suffix = "\n\nNow please summarize the case. Summary:";
    for (const std::string& id : one.documents) {
      const std::string& document = documents[id];
      if (document.empty()) {
        throw Error(ErrorKind::kCorrupt, (folder / "sources.json").string() +
                                             ": has no document '" + id + "', which the case '" +
                                             one.name + "' of " + (folder / "test.json").string() +
                                             " needs; are both of the same version?");
      }
      text.text += (text.text.empty() ? kInstruction : "\n\n") + document;
      if (text.text.size() > kMaxTextBytes) break;
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace quantspec::eval
