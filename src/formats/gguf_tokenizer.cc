#include "formats/gguf_tokenizer.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "io/byte_cursor.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

std::string Key(std::string_view name) { return std::string(kPrefix).append(name); }

// The fields of one file's tokenizer.
class TokenizerReader {
 public:
  explicit TokenizerReader(const Gguf& file) : file_(file) {}

  TokenizerKind Kind() const {
    const auto model = file_.String(Key("model"));
    if (!model) {
      Corrupt("model", "found none, expected \"gpt2\" or \"llama\"",
              "convert the model again, with its tokenizer");
    }
    if (*model == "gpt2") return TokenizerKind::kByteLevelBpe;
    if (*model == "llama") return TokenizerKind::kSentencePiece;
    throw Error(ErrorKind::kUnsupported,
                file_.name() + ": metadata tokenizer.ggml.model: found \"" + Printable(*model) +
                    "\", expected \"gpt2\" (byte-level BPE) or \"llama\" "
                    "(SentencePiece BPE)");
  }

  std::vector<std::string_view> Pieces() const {
    const GgufArray* tokens = file_.Array(Key("tokens"));
    if (tokens == nullptr || tokens->strings.empty()) {
      Corrupt("tokens", "found none, expected the list of tokens");
    }
    size_t bytes = 0;
    for (const std::string_view text : tokens->strings) bytes += text.size();
    if (tokens->strings.size() > kMost || bytes > kMost) {
      Corrupt("tokens", "found " + std::to_string(tokens->strings.size()) + " tokens of " +
                            std::to_string(bytes) + " bytes, expected less than 2^30 of both");
    }
    return tokens->strings;
  }

  std::vector<TokenType> Types(size_t tokens) const {
    const GgufArray* types = file_.Array(Key("token_type"));
    if (types == nullptr) return {};
    if (types->integers.size() != tokens) {
      Corrupt("token_type", "found " + std::to_string(types->integers.size()) +
                                " whole numbers, expected " + std::to_string(tokens) +
                                ", one for each token");
    }
    std::vector<TokenType> read;
    read.reserve(tokens);
    for (const int64_t type : types->integers) {
      // Our numbers are those of the file. [gguf]
      if (type < 0 || type > static_cast<int64_t>(TokenType::kByte)) {
        Corrupt("token_type", "found " + std::to_string(type) + " for token " +
                                  std::to_string(read.size()) + ", expected 0 to 6");
      }
      read.push_back(static_cast<TokenType>(type));
    }
    return read;
  }

  std::vector<float> Scores(size_t tokens) const {
    const GgufArray* scores = file_.Array(Key("scores"));
    const size_t found = scores == nullptr ? 0 : scores->numbers.size();
    if (found != tokens) {
      Corrupt("scores", "found " + std::to_string(found) + " numbers, expected " +
                            std::to_string(tokens) + ", one for each token");
    }
    std::vector<float> read;
    read.reserve(tokens);
    for (const double score : scores->numbers) {
      if (std::isnan(score)) {
        Corrupt("scores",
                "found NaN for token " + std::to_string(read.size()) + ", expected a number");
      }
      read.push_back(static_cast<float>(score));
    }
    return read;
  }

  std::vector<TokenizerSpec::Merge> Merges() const {
    const GgufArray* list = file_.Array(Key("merges"));
    if (list == nullptr || list->size() != list->strings.size() || list->size() > kMost) {
      Corrupt("merges", "found none, expected the list of merges of a byte-pair encoding",
              "convert the model again");
    }
    std::vector<TokenizerSpec::Merge> merges;
    merges.reserve(list->size());
    for (const std::string_view merge : list->strings) {
      // A part is never empty, and its spaces are spelt otherwise.
      const size_t space = merge.find(' ', 1);
      if (space == std::string_view::npos || space + 1 == merge.size() || merge[0] == ' ' ||
          merge.find(' ', space + 1) != std::string_view::npos) {
        Corrupt("merges", "found \"" + Printable(merge) + "\" at index " +
                              std::to_string(merges.size()) +
                              ", expected two parts with one space between them");
      }
      merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
    }
    return merges;
  }

  Token Id(std::string_view name, size_t tokens) const {
    const std::string key = std::string(name).append("_token_id");
    const auto id = file_.Integer(Key(key));
    // Converters write -1, in 32 bits of either kind, for "none".
    if (!id || *id == -1 || *id == std::numeric_limits<uint32_t>::max()) return -1;
    if (*id < 0 || static_cast<uint64_t>(*id) >= tokens) {
      Corrupt(key,
              "found " + std::to_string(*id) + ", expected 0 to " + std::to_string(tokens - 1));
    }
    return static_cast<Token>(*id);
  }

  std::optional<bool> Bool(std::string_view name) const { return file_.Bool(Key(name)); }
  std::optional<std::string_view> String(std::string_view name) const {
    return file_.String(Key(name));
  }

 private:
  static constexpr size_t kMost = size_t{1} << 30;

  [[noreturn]] void Corrupt(
      std::string_view name, const std::string& what,
      const char* advice = "the file is damaged or was converted wrongly") const {
    throw Error(ErrorKind::kCorrupt,
                file_.name() + ": metadata " + Key(name) + ": " + what + "; " + advice);
  }

  const Gguf& file_;
};

// A family of vocabularies that is known by tokens which others do not have.
struct Mark {
  std::string_view token;
  size_t least_tokens, most_tokens;  // of the vocabulary
  std::string_view pre_tokenizer;
};
constexpr Mark kMarks[] = {
    {"<|begin_of_text|>", 128000, 129000, "llama-bpe"},
    {"<|im_start|>", 151643, 152064, "qwen2"},
    {"<jupyter_start>", 49152, 49280, "smollm"},
    {"<\xEF\xBD\x9C"
     "begin\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
     100000, 102400, "deepseek-llm"},
    {"<\xEF\xBD\x9C"
     "begin\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
     32000, 32256, "deepseek-coder"},
    {"<|endoftext|>", 50257, 50257, "gpt-2"},
};

// The rules of the family that the vocabulary belongs to; nothing if it is none that is known.
std::optional<std::string> GuessPreTokenizer(const std::vector<std::string_view>& pieces) {
  for (const Mark& mark : kMarks) {
    if (pieces.size() < mark.least_tokens || pieces.size() > mark.most_tokens) continue;
    if (std::find(pieces.begin(), pieces.end(), mark.token) != pieces.end()) {
      return std::string(mark.pre_tokenizer);
    }
  }
  return std::nullopt;
}

std::string PreTokenizerOf(const TokenizerReader& reader, const Gguf& file,
                           const std::vector<std::string_view>& pieces,
                           std::vector<std::string>* warnings) {
  const std::string_view named = reader.String("pre").value_or("default");
  if (named != "default") return std::string(named);
  if (auto guess = GuessPreTokenizer(pieces)) return *guess;
  warnings->push_back(file.name() +
                      ": metadata tokenizer.ggml.pre does not say how text is cut into words, and "
                      "the vocabulary is of no known family: taking GPT-2's rules, which may not "
                      "be those of the model; a newer conversion of it says so");
  return "gpt-2";
}

// GGUF files do not tell what added tokens take with them. Of the families that are converted, only
// Phi-3's marks of turns take anything: the white space behind them.
std::vector<AddedToken> AddedTokensOf(const Gguf& file, const TokenizerSpec& spec) {
  std::string name(file.String("general.name").value_or(""));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) return {};
  std::vector<AddedToken> added;
  for (size_t id = 0; id < spec.types.size(); ++id) {
    const bool is_mark =
        spec.types[id] == TokenType::kControl || spec.types[id] == TokenType::kUserDefined;
    const std::string_view text = spec.pieces[id];
    if (!is_mark || text == "<s>" || text == "<|endoftext|>") continue;
    added.push_back({static_cast<Token>(id), {.takes_right = true}});
  }
  return added;
}

}  // namespace

TokenizerSpec ReadGgufTokenizer(const Gguf& file, std::shared_ptr<const void> storage,
                                std::vector<std::string>* warnings) {
  const TokenizerReader reader(file);
  TokenizerSpec spec;
  spec.source = file.name();
  spec.storage = std::move(storage);
  spec.kind = reader.Kind();
  spec.pieces = reader.Pieces();
  const size_t tokens = spec.pieces.size();
  spec.types = reader.Types(tokens);
  spec.added = AddedTokensOf(file, spec);
  if (spec.kind == TokenizerKind::kByteLevelBpe) {
    spec.merges = reader.Merges();
    spec.pre_tokenizer = PreTokenizerOf(reader, file, spec.pieces, warnings);
  } else {
    spec.scores = reader.Scores(tokens);
    spec.add_space_prefix = reader.Bool("add_space_prefix").value_or(true);
  }
  spec.bos = reader.Id("bos", tokens);
  spec.eos = reader.Id("eos", tokens);
  spec.unknown = reader.Id("unknown", tokens);
  for (const char* name : {"eos", "eot", "eom"}) {
    const Token token = reader.Id(name, tokens);
    if (token >= 0) spec.ends.push_back(token);
  }
  spec.add_bos = reader.Bool("add_bos_token");
  return spec;
}

}  // namespace quantspec
