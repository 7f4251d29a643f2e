#include "formats/load_model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>
#include <variant>

#include "formats/gguf_config.h"
#include "formats/gguf_files.h"
#include "formats/gguf_tensors.h"
#include "formats/gguf_tokenizer.h"
#include "formats/hf_model.h"
#include "formats/sampling_advice.h"
#include "formats/tensor_parts.h"

namespace quantspec {
namespace {

constexpr size_t kShownElements = 8;  // of a metadata array

std::string TextOf(double number) {
  std::string text = std::to_string(number);
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

struct ValueText {
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(uint64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return TextOf(value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::string_view value) const { return std::string(value); }
  std::string operator()(const GgufArray& array) const {
    std::string text = "[";
    const size_t shown = std::min(array.size(), kShownElements);
    for (size_t i = 0; i < shown; ++i) {
      if (i > 0) text += ", ";
      if (!array.strings.empty()) text += std::string(array.strings[i]);
      if (!array.integers.empty()) text += std::to_string(array.integers[i]);
      if (!array.numbers.empty()) text += TextOf(array.numbers[i]);
    }
    if (array.size() > shown) text += ", ... " + std::to_string(array.size()) + " in all";
    return text + "]";
  }
};

const GgufTensor* FindTensor(const std::vector<GgufFile>& files, std::string_view name,
                             const GgufFile** holder) {
  for (const GgufFile& file : files) {
    *holder = &file;
    if (const GgufTensor* tensor = file.gguf.FindTensor(name)) return tensor;
  }
  return nullptr;
}

// What each pair's frequency of RoPE is divided by; empty if the files have no such tensor.
std::vector<float> ReadDivisors(const std::vector<GgufFile>& files, const std::string& name,
                                int64_t pairs) {
  const GgufFile* file = nullptr;
  const GgufTensor* tensor = FindTensor(files, name, &file);
  if (tensor == nullptr) return {};
  const std::string where = file->gguf.name() + ": tensor " + name + ": found ";
  if (tensor->shape.size() != 1 || tensor->shape[0] != pairs) {
    throw Error(ErrorKind::kCorrupt, where + std::to_string(tensor->shape.back()) +
                                         " values, expected " + std::to_string(pairs));
  }
  std::vector<float> divisors(static_cast<size_t>(pairs));
  MakeGgufTensor(*file, *tensor).reader->Decode(0, Rows(divisors.data(), 1, pairs));
  for (const float divisor : divisors) {
    if (divisor > 0) continue;
    throw Error(ErrorKind::kCorrupt, where + std::to_string(divisor) +
                                         ", expected numbers above 0; the file is damaged");
  }
  return divisors;
}

void ReadRopeTensors(const std::vector<GgufFile>& files, RopeConfig* rope) {
  const int64_t pairs = rope->rotated / 2;
  if (pairs == 0) return;
  if (rope->scaling != RopeScaling::kLongRope) {
    rope->divisors = ReadDivisors(files, "rope_freqs.weight", pairs);
    return;
  }
  rope->divisors = ReadDivisors(files, "rope_factors_short.weight", pairs);
  rope->long_divisors = ReadDivisors(files, "rope_factors_long.weight", pairs);
  if (!rope->divisors.empty() && !rope->long_divisors.empty()) return;
  throw Error(
      ErrorKind::kCorrupt,
      files.front().gguf.name() +
          ": tensor rope_factors_short.weight or rope_factors_long.weight is missing, which "
          "RoPE scaling \"longrope\" needs; the file is damaged or was converted wrongly");
}

void ReadTokenizer(const GgufFile& file, LoadedModel& model) {
  try {
    model.tokenizer = ReadGgufTokenizer(file.gguf, file.header, &model.warnings);
  } catch (const Error& error) {
    model.no_tokenizer = error;  // whoever needs none, goes on
    return;
  }
  model.config.tokens =
      std::min(model.config.info.vocab, static_cast<int>(model.tokenizer->pieces.size()));
}

void ReadChatTemplates(const Gguf& file, LoadedModel& model) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  if (const auto text = file.String(kKey)) model.chat_template = *text;
  const std::string prefix = std::string(kKey) + ".";
  for (const Gguf::Entry& entry : file.entries()) {
    if (entry.key.rfind(prefix, 0) != 0) continue;
    if (const auto text = file.String(entry.key)) {
      model.named_chat_templates.emplace_back(entry.key.substr(prefix.size()), *text);
    }
  }
}

LoadedModel LoadGguf(const std::string& path) {
  const std::vector<GgufFile> files = OpenGgufFiles(path);
  const Gguf& first = files.front().gguf;
  CheckIsModel(first);
  const GgufFile* holder = nullptr;
  LoadedModel model;
  model.name = first.name();
  model.name_in_source = GgufNameOf;
  model.config = ReadGgufConfig(first, FindTensor(files, "token_embd.weight", &holder));
  for (LayerClass& layer : model.config.classes) ReadRopeTensors(files, &layer.rope);
  for (const GgufFile& file : files) {
    model.files.push_back(file.file);
    for (const GgufTensor& tensor : file.gguf.tensors()) {
      model.tensors.push_back(MakeGgufTensor(file, tensor));
    }
  }
  SplitFused(&model);
  model.SortTensors();
  ReadTokenizer(files.front(), model);
  ReadChatTemplates(first, model);
  model.sampling = ReadGgufSampling(first, &model.warnings);
  for (const Gguf::Entry& entry : first.entries()) {
    model.metadata.emplace_back(entry.key, std::visit(ValueText{}, entry.value));
  }
  return model;
}

}  // namespace

LoadedModel LoadModel(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ? LoadHfFolder(path) : LoadGguf(path);
}

}  // namespace quantspec
