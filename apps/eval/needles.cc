#include "eval/needles.h"

#include <algorithm>
#include <cctype>

#include "eval/split_mix.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

constexpr int kMostNeedles = 64;
constexpr double kLeastFilled = 0.9;

constexpr const char* kAdjectives[] = {"amber",   "brave",  "calm",   "distant", "eager",
                                       "faint",   "golden", "hollow", "icy",     "jolly",
                                       "keen",    "lively", "misty",  "narrow",  "orange",
                                       "patient", "quiet",  "rapid",  "silver",  "tender"};
constexpr const char* kNouns[] = {"anchor",  "basket",  "candle", "desert", "engine",
                                  "feather", "garden",  "hammer", "island", "jacket",
                                  "kettle",  "lantern", "mirror", "needle", "orchard",
                                  "pepper",  "quarry",  "ribbon", "saddle", "tunnel"};

// The stream of one seed.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // Below `count`, which is far below 2^32: the bias of the remainder is of no account.
  size_t Below(size_t count) {
    const uint64_t mixed = SplitMix(state_);
    state_ += kSplitMixStep;
    return static_cast<size_t>(mixed % count);
  }

 private:
  uint64_t state_;
};

// "amber-anchor", another at every call.
class Keys {
 public:
  explicit Keys(Random& random) : random_(random) {}
  std::string Next() {
    for (;;) {
      const std::string key = std::string(kAdjectives[random_.Below(std::size(kAdjectives))]) +
                              "-" + kNouns[random_.Below(std::size(kNouns))];
      if (std::find(used_.begin(), used_.end(), key) != used_.end()) continue;
      used_.push_back(key);
      return key;
    }
  }

 private:
  Random& random_;
  std::vector<std::string> used_;
};

std::string Number(Random& random) { return std::to_string(1000000 + random.Below(9000000)); }

struct Needles {
  std::vector<std::string> sentences;
  std::string question;
  std::vector<std::string> answers;
};

std::string MagicSentence(const std::string& key, const std::string& number) {
  return "One of the special magic numbers for " + key + " is: " + number + ".";
}

Needles MakeNeedles(const NeedleOptions& options, Random& random) {
  Needles needles;
  Keys keys(random);
  if (options.task == NeedleTask::kWords) {
    std::string words;
    for (int i = 0; i < options.needles; ++i) {
      needles.answers.push_back(keys.Next());
      words += (i == 0 ? "" : ", ") + needles.answers.back();
    }
    needles.sentences = {"The list of words to remember is: " + words + "."};
    needles.question =
        "\n\nCopy the list of words to remember from the text above.\nThe list of words to "
        "remember is:";
    return needles;
  }
  const bool has_keys = options.task == NeedleTask::kManyKeys;
  const bool has_values = options.task == NeedleTask::kManyValues;
  const int count = has_keys || has_values ? options.needles : 1;
  const std::string asked = keys.Next();
  const size_t place = random.Below(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const bool is_asked = has_values || static_cast<size_t>(i) == place;
    const std::string number = Number(random);
    needles.sentences.push_back(MagicSentence(is_asked || !has_keys ? asked : keys.Next(), number));
    if (is_asked || !has_keys) needles.answers.push_back(number);
  }
  needles.question =
      has_values ? "\n\nWhat are all the special magic numbers for " + asked +
                       " in the text above?\nThe special magic numbers for " + asked + " are:"
                 : "\n\nWhat is the special magic number for " + asked +
                       " in the text above?\nThe special magic number for " + asked + " is:";
  return needles;
}

bool EndsSentence(std::string_view text, size_t at) {
  const bool is_end = text[at] == '.' || text[at] == '!' || text[at] == '?';
  return is_end && at + 1 < text.size() && (text[at + 1] == ' ' || text[at + 1] == '\n');
}

// Offsets just behind the ends of sentences.
std::vector<size_t> SentenceEnds(std::string_view text) {
  std::vector<size_t> ends;
  for (size_t at = 0; at < text.size(); ++at) {
    if (EndsSentence(text, at)) ends.push_back(at + 1);
  }
  return ends;
}

void CheckOptions(const NeedleOptions& options) {
  if (options.needles >= 1 && options.needles <= kMostNeedles) return;
  throw Error(ErrorKind::kUsage, "needles: found " + std::to_string(options.needles) +
                                     ", expected 1 to " + std::to_string(kMostNeedles));
}

std::vector<Token> FormatPrompt(const NeedleText& hidden, const Tokenizer& tokenizer,
                                const ChatFormat* chat) {
  if (chat != nullptr) {
    const ChatMessage message{ChatMessage::Role::kUser, hidden.text + hidden.suffix};
    return chat->Format({&message, 1});
  }
  std::vector<Token> tokens = tokenizer.Encode(hidden.text + hidden.suffix, SpecialTokens::kAsText);
  if (tokenizer.adds_bos() && tokenizer.bos() >= 0) tokens.insert(tokens.begin(), tokenizer.bos());
  return tokens;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

}  // namespace

std::string NeedleName(NeedleTask task) {
  switch (task) {
    case NeedleTask::kSingle:
      return "single";
    case NeedleTask::kManyKeys:
      return "keys";
    case NeedleTask::kManyValues:
      return "values";
    case NeedleTask::kWords:
      return "words";
  }
  return "";
}

NeedleText HideNeedles(std::string_view haystack, const NeedleOptions& options) {
  CheckOptions(options);
  Random random(options.seed);
  const Needles needles = MakeNeedles(options, random);
  const std::vector<size_t> ends = SentenceEnds(haystack);
  if (ends.empty()) {
    throw Error(ErrorKind::kUsage, "a text to hide needles in has no sentence that ends in '. '");
  }
  std::vector<size_t> places;
  for (size_t i = 0; i < needles.sentences.size(); ++i) {
    places.push_back(ends[random.Below(ends.size())]);
  }
  std::sort(places.begin(), places.end());
  NeedleText hidden;
  size_t done = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    hidden.text += haystack.substr(done, places[i] - done);
    hidden.text += " " + needles.sentences[i];
    done = places[i];
  }
  hidden.text += haystack.substr(done);
  hidden.suffix = needles.question;
  hidden.answers = needles.answers;
  return hidden;
}

std::optional<NeedlePrompt> BuildNeedles(std::string_view novel, const Tokenizer& tokenizer,
                                         const ChatFormat* chat, int context,
                                         const NeedleOptions& options) {
  CheckOptions(options);
  const std::vector<size_t> ends = SentenceEnds(novel);
  // The largest number of sentences that fits, by bisection: a prompt grows with them.
  std::optional<NeedlePrompt> best;
  size_t low = 0, high = ends.size();
  while (low < high) {
    const size_t middle = low + (high - low + 1) / 2;
    // A byte behind the end, so that the last sentence is seen to end.
    const NeedleText hidden = HideNeedles(novel.substr(0, ends[middle - 1] + 1), options);
    std::vector<Token> tokens = FormatPrompt(hidden, tokenizer, chat);
    if (tokens.size() <= static_cast<size_t>(context)) {
      best = NeedlePrompt{std::move(tokens), hidden.answers};
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (!best || static_cast<double>(best->tokens.size()) < kLeastFilled * context) {
    return std::nullopt;
  }
  return best;
}

double ScoreNeedles(std::string_view text, std::span<const std::string> answers) {
  if (answers.empty()) return 1;
  const std::string lower = LowerCase(text);
  const auto found = std::count_if(answers.begin(), answers.end(), [&](const std::string& answer) {
    return lower.find(LowerCase(answer)) != std::string::npos;
  });
  return static_cast<double>(found) / static_cast<double>(answers.size());
}

}  // namespace quantspec::eval
