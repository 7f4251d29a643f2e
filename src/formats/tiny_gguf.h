// A GGUF model small enough to read, in one file or in parts, for tests.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "io/gguf_test_file.h"
#include "text/tiny_vocabulary.h"

namespace quantspec {

inline void AddText(GgufTestFile& file, std::string_view key, std::string_view value) {
  file.Entry(key, 8, GgufTestFile::Text(value));
}
inline void AddNumber(GgufTestFile& file, std::string_view key, uint32_t value) {
  file.Entry(key, 4, GgufTestFile::Bytes(value));
}
inline void AddFloat(GgufTestFile& file, std::string_view key, float value) {
  file.Entry(key, 6, GgufTestFile::Bytes(value));
}
inline void AddTexts(GgufTestFile& file, std::string_view key,
                     const std::vector<std::string>& values) {
  std::string bytes;
  for (const std::string& value : values) bytes += GgufTestFile::Text(value);
  file.Array(key, 8, values.size(), bytes);
}

// Writes `spec` as converters do; an empty pre_tokenizer is left out.
inline void AddTokenizer(GgufTestFile& file, const TokenizerSpec& spec) {
  const bool is_bpe = spec.kind == TokenizerKind::kByteLevelBpe;
  AddText(file, "tokenizer.ggml.model", is_bpe ? "gpt2" : "llama");
  AddTexts(file, "tokenizer.ggml.tokens", {spec.pieces.begin(), spec.pieces.end()});
  std::string types, scores;
  for (const TokenType type : spec.types) types += GgufTestFile::Bytes(static_cast<int32_t>(type));
  file.Array("tokenizer.ggml.token_type", 5, spec.types.size(), types);
  if (is_bpe) {
    std::vector<std::string> merges;
    for (const TokenizerSpec::Merge& merge : spec.merges) {
      merges.push_back(std::string(merge.left) + " " + std::string(merge.right));
    }
    AddTexts(file, "tokenizer.ggml.merges", merges);
    if (!spec.pre_tokenizer.empty()) AddText(file, "tokenizer.ggml.pre", spec.pre_tokenizer);
  } else {
    for (const float score : spec.scores) scores += GgufTestFile::Bytes(score);
    file.Array("tokenizer.ggml.scores", 6, spec.scores.size(), scores);
    file.Entry("tokenizer.ggml.add_space_prefix", 7,
               GgufTestFile::Bytes(uint8_t{spec.add_space_prefix}));
  }
  const auto id = [&](const char* name, Token token) {
    const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
    if (token >= 0) AddNumber(file, key, static_cast<uint32_t>(token));
  };
  id("bos", spec.bos);
  id("eos", spec.eos);
  id("unknown", spec.unknown);
  if (spec.add_bos) {
    file.Entry("tokenizer.ggml.add_bos_token", 7, GgufTestFile::Bytes(uint8_t{*spec.add_bos}));
  }
}

// One layer of the llama family, hidden 32, without its tokenizer.
inline void AddTinyConfig(GgufTestFile& file) {
  AddText(file, "general.architecture", "llama");
  AddText(file, "general.name", "tiny");
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, uint32_t>>{{"context_length", 64},
                                                     {"embedding_length", 32},
                                                     {"block_count", 1},
                                                     {"feed_forward_length", 64},
                                                     {"attention.head_count", 2},
                                                     {"attention.head_count_kv", 1}}) {
    AddNumber(file, std::string("llama.") + key, value);
  }
}

struct TinyTensor {
  const char* name;
  std::vector<uint64_t> extents;  // fastest first
};
// Its tensors; the embedding has 300 rows.
inline std::vector<TinyTensor> TinyTensors() {
  return {{"token_embd.weight", {32, 300}},       {"output_norm.weight", {32}},
          {"blk.0.attn_norm.weight", {32}},       {"blk.0.attn_q.weight", {32, 32}},
          {"blk.0.attn_k.weight", {32, 16}},      {"blk.0.attn_v.weight", {32, 16}},
          {"blk.0.attn_output.weight", {32, 32}}, {"blk.0.ffn_norm.weight", {32}},
          {"blk.0.ffn_gate.weight", {32, 64}},    {"blk.0.ffn_up.weight", {32, 64}},
          {"blk.0.ffn_down.weight", {64, 32}}};
}
// In float32, values that depend on the tensor's place in the list.
inline void AddTinyTensor(GgufTestFile& file, size_t index) {
  const TinyTensor tensor = TinyTensors()[index];
  uint64_t count = 1;
  for (const uint64_t extent : tensor.extents) count *= extent;
  std::string data;
  for (uint64_t i = 0; i < count; ++i) {
    data += GgufTestFile::Bytes(static_cast<float>(2 * RandomUniform(index, 0, i) - 1));
  }
  file.Tensor(tensor.name, tensor.extents, 0, data);
}

// The whole model; its tokenizer has 264 tokens.
inline GgufTestFile TinyGguf() {
  GgufTestFile file;
  AddTinyConfig(file);
  AddTokenizer(file, TinyBpe());
  for (size_t i = 0; i < TinyTensors().size(); ++i) AddTinyTensor(file, i);
  return file;
}

// A folder of files that goes with the test.
class TestFolder {
 public:
  explicit TestFolder(const std::string& name) {
    std::string path = std::filesystem::temp_directory_path() / (name + ".XXXXXX");
    QS_CHECK(mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string Path(const std::string& name) const { return path_ / name; }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }

 private:
  std::filesystem::path path_;
};

}  // namespace quantspec
