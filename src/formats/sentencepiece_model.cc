#include "formats/sentencepiece_model.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/whole_file.h"
#include "io/byte_cursor.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr uint64_t kMostFileBytes = uint64_t{512} << 20;
constexpr size_t kMostTokens = size_t{1} << 22;

// Fields of a protocol buffer message. [protobuf]
class Message {
 public:
  struct Field {
    uint64_t number = 0;
    uint64_t whole = 0;      // of a varint or a fixed number
    std::string_view bytes;  // of a text, a list of bytes or an inner message
    bool has_bytes = false;
  };

  Message(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  // False at the end.
  bool Next(Field* field) {
    if (at_ == bytes_.size()) return false;
    const uint64_t key = Varint();
    *field = {};
    field->number = key >> 3;
    switch (key & 7) {
      case 0:
        field->whole = Varint();
        break;
      case 1:
        field->whole = Fixed<uint64_t>();
        break;
      case 2:
        field->bytes = Take(Varint());
        field->has_bytes = true;
        break;
      case 5:
        field->whole = Fixed<uint32_t>();
        break;
      default:
        Fail("a field of the kind " + std::to_string(key & 7));
    }
    return true;
  }

  [[noreturn]] void Fail(const std::string& found) const {
    throw Error(ErrorKind::kCorrupt, file_ + ": found " + found +
                                         ", expected a SentencePiece model (a protocol buffer); "
                                         "the file is damaged or something else: fetch it again");
  }

 private:
  std::string_view Take(uint64_t count) {
    if (count > bytes_.size() - at_) Fail("a field that goes beyond the end");
    const std::string_view taken = bytes_.substr(at_, static_cast<size_t>(count));
    at_ += taken.size();
    return taken;
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(Take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    Fail("a number of more than 64 bits");
  }

  template <typename T>
  uint64_t Fixed() {
    T value;
    std::memcpy(&value, Take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view bytes_;
  const std::string& file_;
  size_t at_ = 0;
};

class ModelReader {
 public:
  ModelReader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  TokenizerSpec Read() {
    spec_.source = file_;
    spec_.kind = TokenizerKind::kSentencePiece;
    spec_.fuses_unknown = true;
    spec_.unknown = 0;
    spec_.bos = 1;
    spec_.eos = 2;
    Message model(bytes_, file_);
    for (Message::Field field; model.Next(&field);) {
      if (field.number > 3 || field.number == 0) continue;
      if (!field.has_bytes) model.Fail("a number where an inner message belongs");
      if (field.number == 1) ReadPiece(field.bytes);
      if (field.number == 2) ReadTrainer(field.bytes);
      if (field.number == 3) ReadNormalizer(field.bytes);
    }
    if (spec_.pieces.empty()) model.Fail("no pieces");
    CheckKind();
    for (Token* const id : {&spec_.unknown, &spec_.bos, &spec_.eos}) {
      if (*id < 0 || static_cast<size_t>(*id) >= spec_.pieces.size()) *id = -1;
    }
    if (spec_.eos >= 0) spec_.ends.push_back(spec_.eos);
    return std::move(spec_);
  }

 private:
  void ReadPiece(std::string_view bytes) {
    Message piece(bytes, file_);
    std::string_view text;
    float score = 0;
    uint64_t type = 1;
    for (Message::Field field; piece.Next(&field);) {
      if (field.number == 1) text = field.bytes;
      if (field.number == 2) score = std::bit_cast<float>(static_cast<uint32_t>(field.whole));
      if (field.number == 3) type = field.whole;
    }
    // Our kinds have the numbers of this format. [gguf]
    if (type < 1 || type > static_cast<uint64_t>(TokenType::kByte)) {
      piece.Fail("a piece of the type " + std::to_string(type));
    }
    if (std::isnan(score)) piece.Fail("a score that is no number");
    if (spec_.pieces.size() >= kMostTokens) piece.Fail("more than 2^22 pieces");
    spec_.pieces.push_back(text);
    spec_.scores.push_back(score);
    spec_.types.push_back(static_cast<TokenType>(type));
  }

  void ReadTrainer(std::string_view bytes) {
    Message trainer(bytes, file_);
    const auto id = [](uint64_t value) { return static_cast<Token>(static_cast<int32_t>(value)); };
    for (Message::Field field; trainer.Next(&field);) {
      if (field.number == 3) model_type_ = field.whole;
      if (field.number == 24 && field.whole != 0) Refuse("white space at the end of words");
      if (field.number == 40) spec_.unknown = id(field.whole);
      if (field.number == 41) spec_.bos = id(field.whole);
      if (field.number == 42) spec_.eos = id(field.whole);
    }
  }

  void ReadNormalizer(std::string_view bytes) {
    Message normalizer(bytes, file_);
    removes_spaces_ = true;  // unless it says otherwise
    for (Message::Field field; normalizer.Next(&field);) {
      if (field.number == 1) normalization_ = field.bytes;
      if (field.number == 2) has_characters_ = !field.bytes.empty();
      if (field.number == 3) spec_.add_space_prefix = field.whole != 0;
      if (field.number == 4) removes_spaces_ = field.whole != 0;
      if (field.number == 5 && field.whole == 0) Refuse("spaces that are not escaped");
    }
  }

  void CheckKind() const {
    constexpr const char* kNames[] = {"unknown", "unigram", "BPE", "word", "character"};
    if (model_type_ != 2) {
      Refuse("a " + std::string(kNames[model_type_ > 4 ? 0 : model_type_]) + " model");
    }
    if (has_characters_) {
      Refuse("the normalization \"" + Printable(normalization_) + "\", which changes characters");
    }
    if (removes_spaces_) Refuse("a normalizer that removes repeated spaces");
    for (const TokenType type : spec_.types) {
      if (type == TokenType::kUnused) Refuse("pieces that are not used");
    }
  }

  [[noreturn]] void Refuse(const std::string& what) const {
    throw Error(ErrorKind::kUnsupported,
                file_ + ": found " + what +
                    ", which is not supported; known: byte-pair encodings with the normalization "
                    "\"identity\". A tokenizer.json in the folder would be taken instead");
  }

  std::string_view bytes_;
  const std::string& file_;
  TokenizerSpec spec_;
  uint64_t model_type_ = 1;  // a model that says nothing is a unigram one
  std::string_view normalization_;
  bool has_characters_ = false;
  bool removes_spaces_ = true;
};

}  // namespace

TokenizerSpec ParseSentencePieceModel(std::shared_ptr<const std::string> bytes,
                                      const std::string& file) {
  TokenizerSpec spec = ModelReader(*bytes, file).Read();
  spec.storage = std::move(bytes);
  return spec;
}

TokenizerSpec ReadSentencePieceModel(const std::string& path) {
  return ParseSentencePieceModel(
      std::make_shared<const std::string>(ReadWholeFile(path, kMostFileBytes)), path);
}

}  // namespace quantspec
