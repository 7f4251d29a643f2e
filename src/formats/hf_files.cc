#include "formats/hf_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "formats/whole_file.h"
#include "io/byte_cursor.h"
#include "io/json_reader.h"

namespace quantspec {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOneFile = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
// An index has about 100 bytes a tensor.
constexpr uint64_t kMostIndexBytes = uint64_t{256} << 20;
constexpr size_t kMostShards = 10000;

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Where each tensor is: shard -> names.
using Shards = std::map<std::string, std::vector<std::string>>;

bool IsPlainName(std::string_view name) {
  return !name.empty() && name[0] != '.' && name.find('/') == std::string_view::npos &&
         name.find('\\') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

void ReadWeightMap(JsonReader& in, Shards* shards) {
  std::set<std::string, std::less<>> names;
  in.EnterObject();
  for (std::string_view key; in.NextKey(&key);) {
    in.SetSubject("weight_map, tensor", key);
    if (!names.emplace(key).second) in.Fail("its name for the second time", "it once");
    std::string tensor(key);
    const std::string_view file = in.String();
    if (!IsPlainName(file)) {
      in.Fail("\"" + Printable(file) + "\"", "the plain name of a file in the same folder");
    }
    (*shards)[std::string(file)].push_back(std::move(tensor));
    if (shards->size() > kMostShards) in.Fail("more than 10000 files", "fewer");
  }
  in.SetSubject("");
}

Shards ReadIndex(const std::string& path) {
  const std::string text = ReadWholeFile(path, kMostIndexBytes);
  JsonReader in(text, path);
  Shards shards;
  bool has_map = false;
  in.EnterObject();
  for (std::string_view key; in.NextKey(&key);) {
    if (key != "weight_map") {
      in.Skip();
      continue;
    }
    if (has_map) in.Fail("weight_map for the second time", "it once");
    has_map = true;
    ReadWeightMap(in, &shards);
  }
  in.Finish();
  if (shards.empty()) in.Fail("no weight_map or an empty one", "the file of every tensor");
  return shards;
}

[[noreturn]] void RefuseFolder(const fs::path& folder) {
  std::error_code ignored;
  std::string others;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::string kind = entry.path().extension().string();
    if (kind == ".gguf" || kind == ".bin" || kind == ".pt" || kind == ".pth" || kind == ".h5" ||
        kind == ".safetensors") {
      others += (others.empty() ? "" : ", ") + name;
    }
    if (others.size() > 300) break;
  }
  const std::string where = folder.string() + ": found ";
  const std::string expected = std::string(", expected ") + kOneFile + " or " + kIndex + "; ";
  if (others.empty()) {
    throw Error(ErrorKind::kIo, where + "no weights" + expected + "fetch the model's whole folder");
  }
  throw Error(ErrorKind::kUnsupported,
              where + others + expected +
                  "name a GGUF file itself, and have pickled weights (.bin, .pt) converted to "
                  "safetensors by their publisher or by transformers");
}

SafetensorsFile OpenShard(const fs::path& folder, const std::string& name) {
  const fs::path path = folder / name;
  if (!Exists(path)) {
    throw Error(ErrorKind::kIo, path.string() + ": is missing, but " + kIndex +
                                    " names it; put all files of the model into one folder, or "
                                    "fetch it again");
  }
  return OpenSafetensors(path.string());
}

// Every tensor is in the one shard that the index names.
void CheckShards(const std::string& index, const Shards& shards,
                 const std::vector<SafetensorsFile>& files) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::kCorrupt,
                index + ": " + what + "; fetch all files of the model again, from one place");
  };
  auto file = files.begin();
  for (const auto& [shard, names] : shards) {
    for (const std::string& name : names) {
      if (file->tensors.Find(name) != nullptr) continue;
      fail("tensor " + Printable(name) + ": found none in " + shard + ", expected it there");
    }
    ++file;
  }
  std::unordered_map<std::string_view, const SafetensorsFile*> seen;
  for (const SafetensorsFile& one : files) {
    for (const StTensor& tensor : one.tensors.tensors()) {
      const auto [place, is_new] = seen.emplace(tensor.name, &one);
      if (is_new) continue;
      fail("tensor " + Printable(tensor.name) + ": found in " + place->second->tensors.name() +
           " and in " + one.tensors.name() + ", expected it once");
    }
  }
}

}  // namespace

std::vector<SafetensorsFile> OpenHfFiles(const std::string& folder) {
  const fs::path root(folder);
  std::vector<SafetensorsFile> files;
  if (Exists(root / kOneFile)) {  // goes first in transformers too
    files.push_back(OpenSafetensors((root / kOneFile).string()));
    return files;
  }
  if (!Exists(root / kIndex)) RefuseFolder(root);
  const std::string index = (root / kIndex).string();
  const Shards shards = ReadIndex(index);
  for (const auto& [name, tensors] : shards) files.push_back(OpenShard(root, name));
  CheckShards(index, shards, files);
  return files;
}

}  // namespace quantspec
