// A folder of data files that goes with the test, and a tokenizer of bytes.
#pragma once

#include <stdlib.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "quantspec/error.h"
#include "quantspec/text.h"

namespace quantspec::eval {

class DataFolder {
 public:
  DataFolder() {
    std::string path = std::filesystem::temp_directory_path() / "quantspec-data.XXXXXX";
    path_ = mkdtemp(path.data());
  }
  ~DataFolder() { std::filesystem::remove_all(path_); }
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  std::string path() const { return path_; }
  std::string Write(const std::string& name, const std::string& bytes) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    return file;
  }
  std::string WriteGzip(const std::string& name, const std::string& bytes) const {
    const std::string file = Write(name, "");
    const gzFile gzip = gzopen(file.c_str(), "wb");
    gzwrite(gzip, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(gzip);
    return file;
  }

 private:
  std::filesystem::path path_;
};

// A token a byte, but 256 for "ab"; BOS is 300.
class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(bool adds_bos) : adds_bos_(adds_bos) {}
  int vocab() const override { return 301; }
  std::vector<Token> Encode(std::string_view text, SpecialTokens) const override {
    std::vector<Token> tokens;
    for (size_t at = 0; at < text.size(); ++at) {
      const bool is_pair = text.substr(at, 2) == "ab";
      tokens.push_back(is_pair ? 256 : static_cast<unsigned char>(text[at]));
      at += is_pair ? 1 : 0;
    }
    return tokens;
  }
  std::string Piece(Token token) const override {
    if (token >= 300) return "<s>";
    return token == 256 ? "ab" : std::string(1, static_cast<char>(token));
  }
  std::string Decode(std::span<const Token> tokens) const override {
    std::string text;
    for (const Token token : tokens) text += Piece(token);
    return text;
  }
  bool IsSpecial(Token token) const override { return token == 300; }
  bool IsEnd(Token) const override { return false; }
  Token bos() const override { return 300; }
  Token eos() const override { return -1; }
  bool adds_bos() const override { return adds_bos_; }

 private:
  bool adds_bos_;
};

// "[user]" + the text + "[answer]", BOS in front.
class BracketChat : public ChatFormat {
 public:
  std::vector<Token> Format(std::span<const ChatMessage> messages) const override {
    std::string text;
    for (const ChatMessage& message : messages) text += "[user]" + message.text + "[answer]";
    std::vector<Token> tokens = ByteTokenizer(true).Encode(text, SpecialTokens::kAsText);
    tokens.insert(tokens.begin(), 300);
    return tokens;
  }
};

// What an Error of `call` says, or "".
template <typename Call>
std::string MessageOf(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace quantspec::eval
