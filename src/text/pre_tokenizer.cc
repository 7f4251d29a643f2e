#include "text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "quantspec/error.h"
#include "text/utf8.h"

namespace quantspec {
namespace {

// White space as Unicode's White_Space property has it; PCRE2's \s also takes U+180E.
#define QS_SPACE \
  "\\t-\\r "     \
  "\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define QS_SPACES_TO_WORD "[" QS_SPACE "]+(?![^" QS_SPACE "])|[" QS_SPACE "]+"

constexpr const char* kDigit = "\\p{N}";
// [gpt2]
constexpr const char* kGpt2 =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" QS_SPACE "\\p{L}\\p{N}]+|" QS_SPACES_TO_WORD;

#define QS_WORDS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define QS_REST \
  "| ?[^" QS_SPACE "\\p{L}\\p{N}]+[\\r\\n]*|[" QS_SPACE "]*[\\r\\n]+|" QS_SPACES_TO_WORD
constexpr const char* kLlama3 = QS_WORDS "\\p{N}{1,3}" QS_REST;
constexpr const char* kQwen2 = QS_WORDS "\\p{N}" QS_REST;

// Words with their marks.
constexpr const char* kQwen35 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" QS_SPACE
    "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|[" QS_SPACE "]*[\\r\\n]+|" QS_SPACES_TO_WORD;

// Words begin with their upper-case letters; `after` may follow them.
#define QS_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define QS_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define QS_CASED(after, digits)                                                               \
  "[^\\r\\n\\p{L}\\p{N}]?" QS_UPPER "*" QS_LOWER "+" after "|[^\\r\\n\\p{L}\\p{N}]?" QS_UPPER \
  "+" QS_LOWER "*" after "|" digits "| ?[^" QS_SPACE "\\p{L}\\p{N}]+[\\r\\n/]*|[" QS_SPACE    \
  "]*[\\r\\n]+|" QS_SPACES_TO_WORD
constexpr const char* kTekken = QS_CASED("", "\\p{N}");
constexpr const char* kO200k = QS_CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}");

constexpr const char* kThreeDigits = "\\p{N}{1,3}";
constexpr const char* kChineseAndJapanese =
    "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+";
constexpr const char* kDeepSeekV3 =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
    "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|[" QS_SPACE "]*[\\r\\n]+|" QS_SPACES_TO_WORD;

// DeepSeek cuts in several passes; letters are those of scripts with upper and lower case.
constexpr const char* kLineBreak = "[\\r\\n]";
constexpr const char* kCasedLetters =
    "[" QS_SPACE
    "]?["
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-"
    "\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}"
    "\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}"
    "\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-"
    "\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}"
    "\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-"
    "\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-"
    "\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-"
    "\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}"
    "\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}"
    "\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}"
    "\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}"
    "\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-"
    "\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}"
    "\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}"
    "\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}"
    "\\x{1E900}-\\x{1E943}"
    "]+";
constexpr const char* kAsciiPunctuation =
    "[" QS_SPACE
    "]?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}"
    "\\x{3000}-\\x{3002}]+";
// White space at the end. The look-behind changes nothing but the time for long runs elsewhere.
constexpr const char* kSpaceAtEnd = "(?<![" QS_SPACE "])[" QS_SPACE "]++\\z";
constexpr const char* kEastAsian = "[\\x{800}-\\x{9FA5}\\x{AC00}-\\x{D7FF}]+";
constexpr const char* kLetters = "[" QS_SPACE "]?\\p{L}+";
constexpr const char* kPunctuation = "[" QS_SPACE "]?\\p{P}+";

struct Family {
  std::vector<std::string_view> names;
  std::vector<const char*> stages;
  bool composes = false;
  bool keeps_whole_tokens = false;
  bool adds_bos = false;
};

// As the `tokenizer.json` files of the families have it.
const std::vector<Family>& Families() {
  static const std::vector<Family> families = {
      {{"smollm", "starcoder", "refact"}, {kDigit, kGpt2}, false, false, false},
      {{"gpt-2", "gpt2", "default"}, {kGpt2}, false, false, false},
      {{"llama-bpe", "llama3", "llama-v3"}, {kLlama3}, false, true, true},
      {{"dbrx", "smaug-bpe"}, {kLlama3}, false, false, false},
      {{"qwen2", "deepseek-r1-qwen"}, {kQwen2}, true, false, false},
      {{"qwen35"}, {kQwen35}, true, false, false},
      {{"tekken"}, {kTekken}, false, true, true},
      {{"gpt-4o"}, {kO200k}, false, false, false},
      {{"deepseek-v3"}, {kThreeDigits, kChineseAndJapanese, kDeepSeekV3}, false, false, false},
      {{"deepseek-llm"},
       {kLineBreak, kCasedLetters, kAsciiPunctuation, kSpaceAtEnd, kEastAsian, kDigit},
       false,
       false,
       false},
      {{"deepseek-coder"},
       {kLineBreak, kLetters, kPunctuation, kEastAsian, kDigit},
       false,
       false,
       false},
  };
  return families;
}

}  // namespace

struct PreTokenizer::Stage {
  // `where` begins messages; a pattern with a zero inside is refused like any other bad one.
  Stage(std::string_view pattern, bool covers, const std::string& where) : covers_all(covers) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                         PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    if (code == nullptr) {
      unsigned char text[128] = "";
      pcre2_get_error_message(error, text, sizeof(text));
      throw Error(ErrorKind::kUnsupported,
                  where + ": pre-tokenizer: found a pattern that cannot be used, at its byte " +
                      std::to_string(offset) + ": " + reinterpret_cast<const char*>(text));
    }
    // Without JIT the interpreter does the same, slower.
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  }
  Stage(Stage&& other) noexcept
      : code(std::exchange(other.code, nullptr)), covers_all(other.covers_all) {}
  Stage& operator=(Stage&&) = delete;
  ~Stage() { pcre2_code_free(code); }

  pcre2_code* code;
  bool covers_all;
};

struct PreTokenizer::Scratch::State {
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(match);
  }

  pcre2_match_data* match = nullptr;
  pcre2_match_context* context = nullptr;
  pcre2_jit_stack* stack = nullptr;
  std::vector<uint32_t> ends, next_ends;
};

PreTokenizer::Scratch::Scratch() : state_(std::make_unique<State>()) {
  state_->match = pcre2_match_data_create(1, nullptr);
  state_->context = pcre2_match_context_create(nullptr);
  state_->stack = pcre2_jit_stack_create(size_t{32} << 10, size_t{8} << 20, nullptr);
  if (state_->match == nullptr || state_->context == nullptr || state_->stack == nullptr) {
    throw Error(ErrorKind::kMemory, "tokenizer: no memory left for its patterns");
  }
  pcre2_jit_stack_assign(state_->context, nullptr, state_->stack);
}

PreTokenizer::Scratch::~Scratch() = default;

PreTokenizer::PreTokenizer(std::string_view name, const std::string& where) {
  std::string known;
  for (const Family& family : Families()) {
    for (const std::string_view one : family.names) {
      known += (known.empty() ? "" : ", ") + std::string(one);
    }
    if (std::find(family.names.begin(), family.names.end(), name) == family.names.end()) continue;
    for (const char* pattern : family.stages) stages_.emplace_back(pattern, false, where);
    composes_ = family.composes;
    keeps_whole_tokens_ = family.keeps_whole_tokens;
    adds_bos_ = family.adds_bos;
    return;
  }
  throw Error(ErrorKind::kUnsupported, where + ": pre-tokenizer: found \"" + std::string(name) +
                                           "\", expected one of " + known +
                                           "; this build does not know how that tokenizer cuts "
                                           "text into words");
}

PreTokenizer::PreTokenizer(const WordRules& rules, const std::string& where)
    : composes_(rules.composes) {
  for (const WordRules::Cut& cut : rules.cuts) {
    stages_.emplace_back(cut.pattern, cut.covers_all, where);
  }
}

PreTokenizer::~PreTokenizer() = default;

namespace {

[[noreturn]] void RefuseText(size_t bytes, const std::string& why) {
  throw Error(ErrorKind::kUsage, "tokenizer: a run of " + std::to_string(bytes) +
                                     " bytes cannot be cut into words (" + why +
                                     "); break the text into smaller parts");
}

}  // namespace

const std::vector<uint32_t>& PreTokenizer::Split(std::string_view text, Scratch& scratch) const {
  Scratch::State& state = *scratch.state_;
  state.ends.assign(text.empty() ? 0 : 1, static_cast<uint32_t>(text.size()));
  // No pattern goes back over more than a run of white space; the limit is for the unforeseen.
  const uint64_t limit = uint64_t{10'000'000} + 16 * text.size();
  pcre2_set_match_limit(state.context,
                        static_cast<uint32_t>(std::min<uint64_t>(limit, UINT32_MAX)));
  for (const Stage& stage : stages_) {
    state.next_ends.clear();
    uint32_t begin = 0;
    for (const uint32_t end : state.ends) {
      // Every piece of the stage before is a text of its own: patterns do not look beyond it.
      const auto* piece = reinterpret_cast<PCRE2_SPTR>(text.data() + begin);
      const size_t size = end - begin;
      size_t cut = 0;  // where the last piece ended
      for (size_t at = 0; at < size;) {
        const int count = pcre2_match(stage.code, piece, size, at, PCRE2_NO_UTF_CHECK, state.match,
                                      state.context);
        if (count == PCRE2_ERROR_NOMATCH) break;
        if (count < 0) RefuseText(size, "PCRE2 error " + std::to_string(count));
        const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(state.match);
        if (bounds[1] <= bounds[0]) {  // patterns from files may match nothing
          at = bounds[0] + NextUtf8(text.substr(begin, size).substr(bounds[0])).bytes;
          continue;
        }
        if (bounds[0] > cut) {
          if (stage.covers_all) RefuseText(size, "its pattern leaves text out");
          state.next_ends.push_back(begin + static_cast<uint32_t>(bounds[0]));
        }
        state.next_ends.push_back(begin + static_cast<uint32_t>(bounds[1]));
        at = cut = bounds[1];
      }
      if (stage.covers_all && cut < size) RefuseText(size, "its pattern leaves text out");
      if (state.next_ends.empty() || state.next_ends.back() != end) state.next_ends.push_back(end);
      begin = end;
    }
    state.ends.swap(state.next_ends);
  }
  return state.ends;
}

}  // namespace quantspec
