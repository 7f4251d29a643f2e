#include "formats/hf_pipeline.h"

#include <string_view>
#include <utility>
#include <vector>

#include "formats/hf_pattern.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr const char* kSpaceSign = "\xE2\x96\x81";
// [gpt2], as ByteLevel with use_regex cuts.
constexpr std::string_view kGpt2 =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

struct Part {
  std::string type;
  JsonFields fields;
};

// A part and the members of sequences, in order. Trees must outlive the result.
void Flatten(const JsonTree& tree, const std::string& where, const char* members, int depth,
             std::vector<Part>* parts) {
  if (tree.is_null()) return;
  const JsonFields fields(tree, where);
  const auto type = fields.String("type");
  if (!type) fields.Bad("type", "none", "the name of a part");
  if (*type != "Sequence") {
    parts->push_back({*type, fields});
    return;
  }
  const JsonTree* list = fields.Find(members);
  if (list == nullptr || !list->is_array() || depth == 0) {
    fields.Bad(members, list == nullptr ? "none" : Shown(*list), "a list of parts");
  }
  for (const JsonTree& member : *list) Flatten(member, where, members, depth - 1, parts);
}

std::vector<Part> PartsOf(const JsonTree& tree, const std::string& where, const char* members) {
  constexpr int kMostDepth = 8;
  std::vector<Part> parts;
  Flatten(tree, where, members, kMostDepth, &parts);
  return parts;
}

[[noreturn]] void RefusePart(const Part& part, const std::string& what = "this part") {
  part.fields.Refuse("type", "\"" + part.type + "\"", what);
}

// The pattern of a Split or Replace, as a PCRE2 pattern or as plain text.
std::string PatternOf(const Part& part, std::string* literal) {
  const JsonTree* tree = part.fields.Find("pattern");
  if (tree == nullptr) part.fields.Bad("pattern", "none", "a String or Regex");
  const JsonFields pattern(*tree, part.fields.where() + ": pattern");
  if (const auto text = pattern.String("String")) {
    *literal = *text;
    return LiteralPattern(*text);
  }
  const auto regex = pattern.String("Regex");
  if (!regex) part.fields.Bad("pattern", Shown(*tree), "a String or Regex");
  return TranslatePattern(*regex, part.fields.where());
}

bool IsSpaceReplacement(const Part& part, std::string_view from, std::string_view to) {
  std::string literal;
  if (part.type != "Replace") return false;
  PatternOf(part, &literal);
  return literal == from && part.fields.String("content") == to;
}

class PipelineReader {
 public:
  PipelineReader(const HfPipeline& pipeline, const std::string& file, TokenizerSpec* spec)
      : normalizers_(PartsOf(pipeline.normalizer, file + ": normalizer", "normalizers")),
        pre_tokenizers_(PartsOf(pipeline.pre_tokenizer, file + ": pre_tokenizer", "pretokenizers")),
        post_(PartsOf(pipeline.post_processor, file + ": post_processor", "processors")),
        decoders_(PartsOf(pipeline.decoder, file + ": decoder", "decoders")),
        file_(file),
        spec_(*spec) {}

  void Run() {
    const bool is_byte_level =
        !pre_tokenizers_.empty() && pre_tokenizers_.back().type == "ByteLevel";
    spec_.kind = is_byte_level ? TokenizerKind::kByteLevelBpe : TokenizerKind::kCharacterBpe;
    if (is_byte_level) {
      ReadByteLevel();
    } else {
      ReadCharacters();
    }
    for (const Part& part : post_) ReadPost(part);
    if (!spec_.add_bos) spec_.add_bos = false;
  }

 private:
  void ReadByteLevel() {
    spec_.words.emplace();
    for (const Part& part : normalizers_) {
      if (part.type != "NFC") RefusePart(part, "this normalizer of byte-level text");
      spec_.words->composes = true;
    }
    for (const Part& part : pre_tokenizers_) {
      if (part.type == "Split") {
        ReadSplit(part);
      } else if (part.type == "Digits") {
        Cut(part.fields.Bool("individual_digits", false) ? "\\p{N}" : "\\p{N}+");
      } else if (part.type == "ByteLevel" && &part == &pre_tokenizers_.back()) {
        if (part.fields.Bool("add_prefix_space", true)) {
          part.fields.Refuse("add_prefix_space", "true", "a space in front of byte-level text");
        }
        if (part.fields.Bool("use_regex", true)) Cut(TranslatePattern(kGpt2, file_));
      } else {
        RefusePart(part);
      }
    }
    for (const Part& part : decoders_) {
      if (part.type != "ByteLevel") RefusePart(part, "this decoder of byte-level text");
    }
    if (decoders_.empty()) RefuseNoDecoder();
  }

  [[noreturn]] void RefuseNoDecoder() const {
    throw Error(ErrorKind::kUnsupported,
                file_ +
                    ": decoder: found none: decoding to words with spaces between them is not "
                    "supported");
  }

  void Cut(std::string pattern, bool covers_all = false) {
    spec_.words->cuts.push_back({std::move(pattern), covers_all});
  }

  void ReadSplit(const Part& part) {
    std::string literal;
    std::string pattern = PatternOf(part, &literal);
    const std::string behavior = part.fields.String("behavior").value_or("Isolated");
    const bool inverts = part.fields.Bool("invert", false);
    if (behavior != "Isolated" && !(behavior == "Removed" && inverts)) {
      part.fields.Refuse("behavior", "\"" + behavior + "\"", "this way of cutting");
    }
    // What is removed is the text that no match covers: there is none with the patterns in use.
    Cut(std::move(pattern), behavior == "Removed");
  }

  void ReadCharacters() {
    bool escapes = false;
    bool has_prefix = false;
    for (const Part& part : normalizers_) {
      if (part.type == "Prepend" && part.fields.String("prepend") == kSpaceSign && !escapes) {
        has_prefix = true;
      } else if (IsSpaceReplacement(part, " ", kSpaceSign)) {
        escapes = true;
      } else {
        RefusePart(part, "this normalizer of text without a byte-level pre-tokenizer");
      }
    }
    if (has_prefix) spec_.prefix = SpacePrefix::kAlways;
    spec_.escapes_before_names = escapes;
    for (const Part& part : pre_tokenizers_) {
      if (part.type == "Metaspace" && !escapes) {
        ReadMetaspace(part);
        escapes = true;
      } else if (!IsSplitThatFindsNothing(part)) {
        RefusePart(part);
      }
    }
    if (!escapes) {
      throw Error(ErrorKind::kUnsupported,
                  file_ +
                      ": normalizer and pre_tokenizer: found none that makes spaces part of "
                      "tokens (ByteLevel, Metaspace, or Replace of \" \"): this kind of "
                      "tokenizer is not supported");
    }
    ReadCharacterDecoder();
  }

  // Gemma cuts at spaces where the normalizer has left none.
  bool IsSplitThatFindsNothing(const Part& part) const {
    std::string literal;
    if (part.type != "Split" || !spec_.escapes_before_names) return false;
    PatternOf(part, &literal);
    return literal == " " && !part.fields.Bool("invert", false);
  }

  void ReadMetaspace(const Part& part) {
    if (part.fields.String("replacement").value_or(kSpaceSign) != kSpaceSign) {
      part.fields.Refuse("replacement", Shown(*part.fields.Find("replacement")),
                         "another sign for a space than U+2581");
    }
    const bool old_prefix = part.fields.Bool("add_prefix_space", true);  // before 0.15
    const std::string scheme =
        part.fields.String("prepend_scheme").value_or(old_prefix ? "always" : "never");
    if (scheme == "always") {
      spec_.prefix = SpacePrefix::kUnlessSpaced;
    } else if (scheme == "first") {
      spec_.prefix = SpacePrefix::kFirstUnlessSpaced;
    } else if (scheme != "never") {
      part.fields.Bad("prepend_scheme", "\"" + scheme + "\"", "always, first or never");
    }
    spec_.cuts_at_spaces = part.fields.Bool("split", true);
  }

  void ReadCharacterDecoder() {
    if (decoders_.empty()) RefuseNoDecoder();
    for (const Part& part : decoders_) {
      if (part.type == "Strip") {
        const int64_t start = part.fields.Whole("start", 0, 1000).value_or(0);
        const int64_t stop = part.fields.Whole("stop", 0, 1000).value_or(0);
        if (part.fields.String("content") != " " || start > 1 || stop > 0) {
          RefusePart(part, "stripping more than one space at the start of a text");
        }
        spec_.drops_first_space = start == 1;
      } else if (part.type == "Metaspace") {
        const bool old_prefix = part.fields.Bool("add_prefix_space", true);
        spec_.drops_first_space =
            part.fields.String("prepend_scheme").value_or(old_prefix ? "always" : "never") !=
            "never";
      } else if (part.type != "ByteFallback" && part.type != "Fuse" &&
                 !IsSpaceReplacement(part, kSpaceSign, " ")) {
        RefusePart(part);
      }
    }
  }

  void ReadPost(const Part& part) {
    if (part.type == "ByteLevel") return;  // moves offsets alone
    if (part.type != "TemplateProcessing") RefusePart(part);
    const JsonTree* single = part.fields.Find("single");
    if (single == nullptr || !single->is_array()) {
      part.fields.Bad("single", single == nullptr ? "none" : Shown(*single), "a list");
    }
    bool has_text = false;
    for (const JsonTree& piece : *single) {
      if (piece.is_object() && piece.contains("Sequence")) {
        has_text = true;
        continue;
      }
      const bool is_special = piece.is_object() && piece.contains("SpecialToken");
      if (!is_special || has_text || spec_.add_bos) {
        part.fields.Refuse("single", Shown(*single),
                           "anything but one special token in front of the text");
      }
      spec_.bos = IdOf(part, piece["SpecialToken"]);
      spec_.add_bos = true;
    }
  }

  Token IdOf(const Part& part, const JsonTree& special) const {
    const JsonFields fields(special, part.fields.where() + ": single: SpecialToken");
    const std::string name = fields.String("id").value_or("");
    const JsonTree* table = part.fields.Find("special_tokens");
    if (table != nullptr && table->is_object() && table->contains(name)) {
      const JsonTree& entry = (*table)[name];
      const JsonTree* ids = entry.is_object() && entry.contains("ids") ? &entry["ids"] : nullptr;
      const auto most = static_cast<int64_t>(spec_.pieces.size()) - 1;
      if (ids != nullptr && ids->is_array() && ids->size() == 1 &&
          ids->front().is_number_integer() && ids->front().get<int64_t>() >= 0 &&
          ids->front().get<int64_t>() <= most) {
        return static_cast<Token>(ids->front().get<int64_t>());
      }
    }
    part.fields.Bad("special_tokens", "no single id of \"" + name + "\"", "one of the vocabulary");
  }

  std::vector<Part> normalizers_, pre_tokenizers_, post_, decoders_;
  const std::string& file_;
  TokenizerSpec& spec_;
};

}  // namespace

void ReadHfPipeline(const HfPipeline& pipeline, const std::string& file, TokenizerSpec* spec) {
  PipelineReader(pipeline, file, spec).Run();
}

}  // namespace quantspec
