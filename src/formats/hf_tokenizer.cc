#include "formats/hf_tokenizer.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/hf_pipeline.h"
#include "formats/json_tree.h"
#include "formats/whole_file.h"
#include "io/byte_cursor.h"
#include "io/json_reader.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr uint64_t kMostFileBytes = uint64_t{512} << 20;
constexpr uint64_t kMostTokens = uint64_t{1} << 22;

// Keeps what the views of a spec look at.
struct Storage {
  std::shared_ptr<const std::string> text;
  std::shared_ptr<const void> unescaped;
};

class TokenizerFile {
 public:
  TokenizerFile(std::string_view text, const std::string& file) : in_(text, file), file_(file) {}

  TokenizerSpec Read(std::shared_ptr<const std::string> text) {
    spec_.source = file_;
    in_.EnterObject();
    bool has_model = false;
    for (std::string_view key; in_.NextKey(&key);) {
      if (key == "model") {
        if (has_model) in_.Fail("model for the second time", "it once");
        has_model = true;
        ReadModel();
      } else if (key == "added_tokens") {
        in_.SetSubject("added_tokens");
        ReadAddedTokens();
      } else {
        in_.SetSubject("key", key);
        ReadPart(key);
      }
      in_.SetSubject("");
    }
    in_.Finish();
    if (!has_model) in_.Fail("no model", "a tokenizer with its model");
    spec_.storage = std::make_shared<Storage>(Storage{std::move(text), in_.strings()});
    AddTokens();
    if (unknown_) spec_.unknown = FindPiece(spec_, *unknown_);
    ReadHfPipeline(pipeline_, file_, &spec_);
    MarkBytes();
    return std::move(spec_);
  }

 private:
  struct Added {
    std::string_view text;
    uint64_t id = 0;
    bool is_special = false, is_normalized = false;
    NameRules rules;
  };

  void ReadPart(std::string_view key) {
    const std::pair<std::string_view, JsonTree*> parts[] = {
        {"normalizer", &pipeline_.normalizer},
        {"pre_tokenizer", &pipeline_.pre_tokenizer},
        {"post_processor", &pipeline_.post_processor},
        {"decoder", &pipeline_.decoder}};
    for (const auto& [name, tree] : parts) {
      if (name != key) continue;
      *tree = ReadJsonTree(in_);
      return;
    }
    in_.Skip();
  }

  [[noreturn]] void Refuse(std::string_view what, const std::string& found) const {
    throw Error(ErrorKind::kUnsupported, file_ + ": model: " + std::string(what) + ": found " +
                                             found +
                                             ", which is not supported; known: byte-pair "
                                             "encodings (type BPE) without these extras");
  }

  void ReadModel() {
    in_.SetSubject("model");
    in_.EnterObject();
    for (std::string_view key; in_.NextKey(&key);) {
      if (key == "vocab") {
        in_.SetSubject("model.vocab");
        if (in_.Peek() != JsonKind::kObject) Refuse("vocab", "a list, as Unigram has it");
        ReadVocabulary();
      } else if (key == "merges") {
        in_.SetSubject("model.merges");
        ReadMerges();
      } else {
        in_.SetSubject("model, key", key);
        ReadSetting(key);
      }
      in_.SetSubject("model");
    }
  }

  void ReadSetting(std::string_view key) {
    if (in_.Peek() == JsonKind::kNull) {
      in_.Null();
    } else if (key == "type") {
      const std::string_view type = in_.String();
      if (type != "BPE") Refuse("type", "\"" + Printable(type) + "\"");
    } else if (key == "unk_token") {
      unknown_ = in_.String();
    } else if (key == "byte_fallback") {
      spec_.falls_back_to_bytes = in_.Bool();
    } else if (key == "fuse_unk") {
      spec_.fuses_unknown = in_.Bool();
    } else if (key == "ignore_merges") {
      spec_.keeps_whole_tokens = in_.Bool();
    } else if (key == "continuing_subword_prefix" || key == "end_of_word_suffix") {
      const std::string_view mark = in_.String();
      if (!mark.empty()) Refuse(key, "\"" + Printable(mark) + "\"");
    } else if (key == "dropout") {
      if (const std::string_view share = in_.Number(); share != "0" && share != "0.0") {
        Refuse(key, std::string(share));
      }
    } else {
      in_.Skip();
    }
  }

  // Makes room for token `id` and gives the place of its text.
  std::string_view& PieceOf(uint64_t id) {
    if (id >= kMostTokens) in_.Fail("token id " + std::to_string(id), "less than 2^22");
    if (id >= spec_.pieces.size()) {
      spec_.pieces.resize(static_cast<size_t>(id) + 1);
      spec_.types.resize(static_cast<size_t>(id) + 1, TokenType::kUnused);
    }
    return spec_.pieces[static_cast<size_t>(id)];
  }

  void ReadVocabulary() {
    in_.EnterObject();
    for (std::string_view text; in_.NextKey(&text);) {
      const uint64_t id = in_.Whole();
      std::string_view& piece = PieceOf(id);
      TokenType& type = spec_.types[static_cast<size_t>(id)];
      if (type != TokenType::kUnused) {
        in_.Fail("token id " + std::to_string(id) + " for \"" + Printable(text) + "\" and for \"" +
                     Printable(piece) + "\"",
                 "one text a token");
      }
      piece = text;
      type = TokenType::kNormal;
    }
  }

  void ReadMerges() {
    in_.EnterArray();
    while (in_.NextElement()) {
      TokenizerSpec::Merge merge;
      if (in_.Peek() == JsonKind::kArray) {
        in_.EnterArray();
        std::string_view* const sides[] = {&merge.left, &merge.right};
        size_t count = 0;
        for (; in_.NextElement(); ++count) {
          if (count == 2) in_.Fail("a third part of a merge", "two");
          *sides[count] = in_.String();
        }
        if (count < 2) in_.Fail(std::to_string(count) + " parts of a merge", "two");
      } else {
        const std::string_view both = in_.String();
        const size_t space = both.find(' ');
        if (space == std::string_view::npos ||
            both.find(' ', space + 1) != std::string_view::npos) {
          in_.Fail("merge \"" + Printable(both) + "\"", "two parts with one space between them");
        }
        merge = {both.substr(0, space), both.substr(space + 1)};
      }
      if (spec_.merges.size() >= size_t{1} << 28) in_.Fail("2^28 merges", "fewer");
      spec_.merges.push_back(merge);
    }
  }

  void ReadAddedTokens() {
    in_.EnterArray();
    while (in_.NextElement()) {
      Added token;
      bool has_id = false;
      in_.EnterObject();
      for (std::string_view key; in_.NextKey(&key);) {
        if (key == "id") {
          token.id = in_.Whole();
          has_id = true;
        } else if (key == "content") {
          token.text = in_.String();
        } else if (key == "special") {
          token.is_special = in_.Bool();
        } else if (key == "normalized") {
          token.is_normalized = in_.Bool();
        } else if (key == "single_word") {
          token.rules.is_word = in_.Bool();
        } else if (key == "lstrip") {
          token.rules.takes_left = in_.Bool();
        } else if (key == "rstrip") {
          token.rules.takes_right = in_.Bool();
        } else {
          in_.Skip();
        }
      }
      if (!has_id) in_.Fail("the end of an added token", "its id");
      PieceOf(token.id);
      added_.push_back(token);
    }
  }

  // Added tokens stand above those of the model.
  void AddTokens() {
    if (spec_.pieces.empty()) {
      throw Error(ErrorKind::kCorrupt,
                  file_ +
                      ": model.vocab: found no token, expected the vocabulary; fetch the file "
                      "again");
    }
    for (const Added& token : added_) {
      const auto id = static_cast<size_t>(token.id);
      if (spec_.types[id] == TokenType::kNormal && spec_.pieces[id] != token.text) {
        throw Error(ErrorKind::kCorrupt,
                    file_ + ": added_tokens: found \"" + Printable(token.text) + "\" for token " +
                        std::to_string(id) + ", expected \"" + Printable(spec_.pieces[id]) +
                        "\" as in model.vocab; the file was written wrongly");
      }
      spec_.pieces[id] = token.text;
      spec_.types[id] = token.is_special ? TokenType::kControl : TokenType::kUserDefined;
      NameRules rules = token.rules;
      rules.in_escaped = token.is_normalized;
      spec_.added.push_back({static_cast<Token>(token.id), rules});
    }
  }

  // What only the kind of tokenizer tells of its tokens.
  void MarkBytes() {
    if (!spec_.escapes_before_names) {
      for (AddedToken& token : spec_.added) token.rules.in_escaped = false;
    }
    if (spec_.kind != TokenizerKind::kCharacterBpe || !spec_.falls_back_to_bytes) return;
    for (size_t id = 0; id < spec_.pieces.size(); ++id) {
      const std::string_view text = spec_.pieces[id];
      if (spec_.types[id] == TokenType::kNormal && text.size() == 6 && text.starts_with("<0x") &&
          text[5] == '>' &&
          text.substr(3, 2).find_first_not_of("0123456789ABCDEF") == std::string_view::npos) {
        spec_.types[id] = TokenType::kByte;
      }
    }
  }

  JsonReader in_;
  const std::string& file_;
  TokenizerSpec spec_;
  HfPipeline pipeline_;
  std::vector<Added> added_;
  std::optional<std::string_view> unknown_;
};

}  // namespace

TokenizerSpec ParseHfTokenizer(std::shared_ptr<const std::string> text, const std::string& file) {
  return TokenizerFile(*text, file).Read(text);
}

TokenizerSpec ReadHfTokenizer(const std::string& path) {
  return ParseHfTokenizer(std::make_shared<const std::string>(ReadWholeFile(path, kMostFileBytes)),
                          path);
}

Token FindPiece(const TokenizerSpec& spec, std::string_view text) {
  const auto at = std::find(spec.pieces.begin(), spec.pieces.end(), text);
  return at == spec.pieces.end() ? -1 : static_cast<Token>(at - spec.pieces.begin());
}

}  // namespace quantspec
