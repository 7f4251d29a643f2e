#include "formats/hf_added_tokens.h"

#include <charconv>
#include <deque>
#include <memory>
#include <set>
#include <utility>

#include "io/byte_cursor.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 22;

class Adder {
 public:
  explicit Adder(TokenizerSpec* spec) : spec_(*spec) {
    model_tokens_ = spec_.pieces.size();
    storage_->before = spec_.storage;
    spec_.storage = storage_;
  }

  void Add(int64_t id, const std::string& text, bool is_special, const NameRules& rules,
           const std::string& where) {
    if (id < 0 || id >= kMostTokens) {
      Fail(where, "token id " + std::to_string(id), "0 to 2^22 - 1");
    }
    const auto at = static_cast<size_t>(id);
    if (at < model_tokens_) {
      if (spec_.pieces[at] != text) {
        Fail(where, "\"" + Printable(text) + "\" for token " + std::to_string(id),
             "\"" + Printable(spec_.pieces[at]) + "\" as in tokenizer.model");
      }
      if (spec_.types[at] == TokenType::kNormal) return;  // its pieces are found by merging
    } else {
      if (at >= spec_.pieces.size()) {
        spec_.pieces.resize(at + 1);
        spec_.types.resize(at + 1, TokenType::kUnused);
        spec_.scores.resize(at + 1, 0.0f);
      }
      spec_.pieces[at] = storage_->texts.emplace_back(text);
    }
    if (spec_.types[at] != TokenType::kUnknown) {
      const bool was_control = spec_.types[at] == TokenType::kControl;
      spec_.types[at] = is_special || was_control ? TokenType::kControl : TokenType::kUserDefined;
    }
    if (rules.is_word || rules.takes_left || rules.takes_right) {
      spec_.added.push_back({static_cast<Token>(id), rules});
    }
  }

 private:
  struct Storage {
    std::shared_ptr<const void> before;
    std::deque<std::string> texts;
  };

  [[noreturn]] static void Fail(const std::string& where, const std::string& found,
                                const std::string& expected) {
    throw Error(ErrorKind::kCorrupt, where + ": found " + found + ", expected " + expected +
                                         "; fetch the model's files again, from one place");
  }

  TokenizerSpec& spec_;
  size_t model_tokens_ = 0;
  std::shared_ptr<Storage> storage_ = std::make_shared<Storage>();
};

// Names that the settings call special.
std::set<std::string> SpecialNames(const JsonTree* settings) {
  std::set<std::string> names;
  if (settings == nullptr || !settings->is_object()) return names;
  const auto add = [&](const JsonTree& value) {
    const JsonTree& text =
        value.is_object() && value.contains("content") ? value["content"] : value;
    if (text.is_string()) names.insert(text.get<std::string>());
  };
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    if (settings->contains(key)) add((*settings)[key]);
  }
  if (settings->contains("additional_special_tokens")) {
    for (const JsonTree& value : (*settings)["additional_special_tokens"]) add(value);
  }
  return names;
}

int64_t IdOf(const std::string& text) {
  int64_t id = -1;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), id);
  return read.ec == std::errc() && read.ptr == text.data() + text.size() ? id : -1;
}

// `tokens` is {id: {"content": text, ...}}.
void AddListed(const JsonTree& tokens, const std::string& where, Adder* adder) {
  const JsonFields all(tokens, where);
  for (const auto& [id, token] : tokens.items()) {
    const std::string place = where + ": " + id;
    const JsonFields one(token, place);
    const auto text = one.String("content");
    if (!text) one.Bad("content", "none", "the text of a token");
    adder->Add(IdOf(id), *text, one.Bool("special", false),
               {.is_word = one.Bool("single_word", false),
                .takes_left = one.Bool("lstrip", false),
                .takes_right = one.Bool("rstrip", false)},
               place);
  }
}

}  // namespace

void AddHfTokens(const HfAddedTokens& added, TokenizerSpec* spec) {
  Adder adder(spec);
  if (added.settings != nullptr) {
    const JsonFields fields(*added.settings, added.settings_name);
    if (const JsonTree* tokens = fields.Find("added_tokens_decoder")) {
      AddListed(*tokens, added.settings_name + ": added_tokens_decoder", &adder);
      return;  // it lists all of them
    }
  }
  if (added.file == nullptr) return;
  if (!added.file->is_object()) {
    throw Error(ErrorKind::kCorrupt, added.file_name + ": found " + Shown(*added.file) +
                                         ", expected an object of texts and ids");
  }
  const std::set<std::string> special = SpecialNames(added.settings);
  for (const auto& [text, id] : added.file->items()) {
    adder.Add(id.is_number_integer() ? id.get<int64_t>() : -1, text, special.contains(text), {},
              added.file_name + ": \"" + Printable(text) + "\"");
  }
}

}  // namespace quantspec
