#include "formats/gguf_files.h"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "io/byte_cursor.h"
#include "quant/ggml_blocks.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int64_t kMostParts = 99999;  // names have five digits

// What a file says about its place among the parts of a model.
struct Split {
  int64_t number = 0;  // from 0
  int64_t count = 1;
  int64_t tensors = -1;  // of all parts; -1: not told
};

[[noreturn]] void Corrupt(const Gguf& file, const std::string& what) {
  throw Error(ErrorKind::kCorrupt,
              file.name() + ": " + what + "; fetch all parts of the model again, from one place");
}

int64_t InRange(const Gguf& file, const char* key, int64_t otherwise, int64_t low, int64_t high) {
  const int64_t value = file.Integer(key).value_or(otherwise);
  if (value >= low && value <= high) return value;
  Corrupt(file, std::string("metadata ") + key + ": found " + std::to_string(value) +
                    ", expected " + std::to_string(low) + " to " + std::to_string(high));
}

Split ReadSplit(const Gguf& file) {
  Split split;
  split.count = std::max<int64_t>(1, InRange(file, "split.count", 1, 0, kMostParts));
  split.number = InRange(file, "split.no", 0, 0, split.count - 1);
  split.tensors = InRange(file, "split.tensors.count", -1, -1, INT64_MAX);
  return split;
}

// How the names of parts end: "-00002-of-00003.gguf" for part 1 of 3.
std::string NameEnd(int64_t number, int64_t count) {
  char text[32];
  std::snprintf(text, sizeof(text), "-%05d-of-%05d.gguf", static_cast<int>(number) + 1,
                static_cast<int>(count));
  return text;
}

std::string PartText(const Split& split) {
  return "part " + std::to_string(split.number + 1) + " of " + std::to_string(split.count);
}

GgufFile OpenPart(const std::string& path, const Split& opened, const std::string& opened_path) {
  try {
    return OpenGguf(path, GgmlTypeSize);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kIo) throw;
    throw Error(ErrorKind::kIo, std::string(error.what()) + "; " + opened_path + " is " +
                                    PartText(opened) +
                                    " of a model that was split: put all parts into one folder, "
                                    "under their own names");
  }
}

// Every tensor is in one part, and all are there.
void CheckTensors(const std::vector<GgufFile>& parts, int64_t expected) {
  std::unordered_map<std::string_view, const Gguf*> seen;
  for (const GgufFile& part : parts) {
    for (const GgufTensor& tensor : part.gguf.tensors()) {
      const auto [place, is_new] = seen.emplace(tensor.name, &part.gguf);
      if (is_new) continue;
      Corrupt(part.gguf, "tensor " + Printable(tensor.name) + ": found here and in " +
                             place->second->name() + ", expected it once");
    }
  }
  if (expected < 0 || static_cast<int64_t>(seen.size()) == expected) return;
  Corrupt(parts.front().gguf, "metadata split.tensors.count: found " + std::to_string(expected) +
                                  ", but the parts hold " + std::to_string(seen.size()) +
                                  " tensors");
}

}  // namespace

std::vector<GgufFile> OpenGgufFiles(const std::string& path) {
  std::vector<GgufFile> parts;
  parts.push_back(OpenGguf(path, GgmlTypeSize));
  const Split split = ReadSplit(parts.front().gguf);
  if (split.count == 1) return parts;
  const std::string end = NameEnd(split.number, split.count);
  if (!path.ends_with(end)) {
    Corrupt(parts.front().gguf, "this is " + PartText(split) +
                                    " of a model that was split: found another name, expected one "
                                    "that ends with " +
                                    end + ", by which the other parts are found");
  }
  GgufFile opened = std::move(parts.front());
  parts.clear();
  const std::string stem = path.substr(0, path.size() - end.size());
  for (int64_t number = 0; number < split.count; ++number) {
    if (number == split.number) {
      parts.push_back(std::move(opened));
      continue;
    }
    parts.push_back(OpenPart(stem + NameEnd(number, split.count), split, path));
    const Split other = ReadSplit(parts.back().gguf);
    if (other.number != number || other.count != split.count || other.tensors != split.tensors) {
      Corrupt(parts.back().gguf,
              "found " + PartText(other) + " of a model of " + std::to_string(other.tensors) +
                  " tensors, expected part " + std::to_string(number + 1) + " of " +
                  std::to_string(split.count) + " of one of " + std::to_string(split.tensors));
    }
  }
  CheckTensors(parts, split.tensors);
  return parts;
}

}  // namespace quantspec
