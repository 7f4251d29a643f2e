#include "text/chat_families.h"

namespace quantspec {
namespace {

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// `text` or the same with its line breaks written as \\n, as templates have
// them.
bool HasLines(std::string_view text, std::string part) {
  if (Has(text, part)) return true;
  for (size_t at = part.find('\n'); at != std::string::npos; at = part.find('\n', at + 2)) {
    part.replace(at, 1, "\\n");
  }
  return Has(text, part);
}

std::string Special(std::string_view name) {
  return name.empty() ? "" : kMark + std::string(name) + kMark;
}

// A string literal of a template with its escapes resolved.
std::string Unescape(std::string_view literal) {
  std::string text;
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] != '\\' || i + 1 == literal.size()) {
      text += literal[i];
      continue;
    }
    const char next = literal[++i];
    text += next == 'n' ? '\n' : next == 't' ? '\t' : next;
  }
  return text;
}

// The literal text between `open` and `close` in a template, where it stands
// there as one piece: templates insert their default system text like that.
// Empty if there is none.
std::string LiteralBetween(std::string_view chat_template, std::string_view open,
                           std::string_view close) {
  for (size_t at = chat_template.find(open); at != std::string_view::npos;
       at = chat_template.find(open, at + 1)) {
    const size_t begin = at + open.size();
    const size_t end = chat_template.find(close, begin);
    if (end == std::string_view::npos) break;
    const std::string_view between = chat_template.substr(begin, end - begin);
    bool is_literal = !between.empty();
    for (size_t i = 0; i < between.size() && is_literal; ++i) {
      const bool escaped = i > 0 && between[i - 1] == '\\';
      const char c = between[i];
      if ((c == '\'' || c == '"') && !escaped) {
        // An apostrophe inside a word does not end the literal; a quote with a
        // space or an operator behind it does.
        const char after = i + 1 < between.size() ? between[i + 1] : ' ';
        is_literal = i > 0 && after != ' ' && after != '+' && after != ')' && after != '}';
      }
      if (c == '{' || c == '}') is_literal = false;
    }
    if (is_literal) return Unescape(between);
  }
  return "";
}

// Answers may begin with a text between <think> and </think>: quoted ones are
// stripped of it.
void AddThinking(std::string_view chat_template, const std::string& opens, ChatFamily* family) {
  if (Has(chat_template, "split('</think>')[-1]")) family->thinking_end = "</think>";
  family->drops_line_breaks = Has(chat_template, "split('</think>')[-1].lstrip('\\n')");
  if (HasLines(chat_template, opens + "<think>\n'")) {
    family->thinking_open = Special("<think>") + "\n";
  }
}

ChatFamily ChatMl(std::string_view chat_template) {
  ChatFamily family;
  family.name = "chatml";
  family.starts_with_bos = Has(chat_template, "bos_token");
  const std::string start = Special("<|im_start|>"), end = Special("<|im_end|>");
  // Phi-4 writes a token instead of the line break, and none between turns.
  const bool has_separator = Has(chat_template, "<|im_sep|>");
  const std::string separator = has_separator ? Special("<|im_sep|>") : "\n";
  const std::string after = has_separator ? "" : "\n";
  family.system_open = start + "system" + separator;
  family.user_open = start + "user" + separator;
  family.assistant_open = start + "assistant" + separator;
  family.system_close = family.user_close = end + after;
  family.assistant_end = end;
  family.assistant_after = after;
  family.default_system = LiteralBetween(chat_template, "<|im_start|>system\\n", "<|im_end|>");
  if (family.default_system.empty()) {  // templates with real line breaks
    family.default_system = LiteralBetween(chat_template, "<|im_start|>system\n", "<|im_end|>");
  }
  AddThinking(chat_template, "<|im_start|>assistant\n", &family);
  return family;
}

ChatFamily Llama3(std::string_view chat_template) {
  ChatFamily family;
  family.name = "llama3";
  family.starts_with_bos = true;
  family.trims = true;
  const auto header = [](const char* role) {
    return Special("<|start_header_id|>") + role + Special("<|end_header_id|>") + "\n\n";
  };
  family.system_open = header("system");
  family.user_open = header("user");
  family.assistant_open = header("assistant");
  family.system_close = family.user_close = family.assistant_end = Special("<|eot_id|>");
  if (Has(chat_template, "Cutting Knowledge Date")) {
    // Llama 3.1 and later: dates stand before every system text, even an empty
    // one. The date is the one that stands in the template, so that a prompt
    // never changes by itself.
    std::string date = LiteralBetween(chat_template, "date_string = \"", "\"");
    if (date.empty()) date = "26 Jul 2024";
    family.system_prefix = "Cutting Knowledge Date: December 2023\nToday Date: " + date + "\n\n";
  }
  return family;
}

ChatFamily Llama2(const std::string& eos) {
  ChatFamily family;
  family.name = "llama2";
  family.turns_start_with_bos = true;
  family.trims = true;
  family.system_in_user = true;
  family.trims_whole_turn = true;
  family.system_open = "<<SYS>>\n";
  family.system_close = "\n<</SYS>>\n\n";
  family.user_open = Special("[INST]") + " ";
  family.user_close = " " + Special("[/INST]");
  family.answer_prefix = " ";
  family.assistant_close = " ";
  family.assistant_end = Special(eos);
  return family;
}

ChatFamily Mistral(std::string_view chat_template, const std::string& eos) {
  ChatFamily family;
  family.name = "mistral";
  family.starts_with_bos = true;
  family.system_in_user = true;
  family.system_close = "\n\n";
  const bool leads = Has(chat_template, "\" [INST]") || Has(chat_template, "' [INST]");
  family.user_open =
      (leads ? " " : "") + Special("[INST]") + (Has(chat_template, "[INST] ") ? " " : "");
  family.user_close = (Has(chat_template, " [/INST]") ? " " : "") + Special("[/INST]");
  family.system_in_last = Has(chat_template, "loop.last and system_message");
  family.answer_prefix = Has(chat_template, "' ' + ") || Has(chat_template, "\" \" + ") ? " " : "";
  family.trims_answers =
      Has(chat_template, "|trim + eos_token") || Has(chat_template, "| trim + eos_token");
  family.assistant_end = Special(eos);
  if (Has(chat_template, "eos_token + ' '")) family.assistant_after = " ";
  return family;
}

ChatFamily RoleTags(std::string_view chat_template, const std::string& name,
                    const std::string& end) {
  ChatFamily family;
  family.name = name;
  family.starts_with_bos = Has(chat_template, "bos_token");
  family.system_open = Special("<|system|>") + "\n";
  family.user_open = Special("<|user|>") + "\n";
  family.assistant_open = Special("<|assistant|>") + "\n";
  family.system_close = family.user_close = Special(end) + "\n";
  family.assistant_end = Special(end);
  family.assistant_after = "\n";
  return family;
}

ChatFamily Gemma() {
  ChatFamily family;
  family.name = "gemma";
  family.starts_with_bos = true;
  family.trims = true;
  family.system_in_user = true;
  family.system_close = "\n\n";
  family.user_open = Special("<start_of_turn>") + "user\n";
  family.user_close = Special("<end_of_turn>") + "\n";
  family.assistant_open = Special("<start_of_turn>") + "model\n";
  family.assistant_end = Special("<end_of_turn>");
  family.assistant_after = "\n";
  return family;
}

// DeepSeek R1 and V2.5 onwards; its marks are written with full-width bars.
ChatFamily DeepSeekMarks(std::string_view chat_template, const std::string& eos) {
  ChatFamily family;
  family.name = "deepseek";
  family.starts_with_bos = true;
  family.user_open = Special("<\xEF\xBD\x9CUser\xEF\xBD\x9C>");
  const std::string assistant =
      "<\xEF\xBD\x9C"
      "Assistant\xEF\xBD\x9C>";
  family.assistant_open = Special(assistant);
  family.assistant_end = Special(eos);
  AddThinking(chat_template, assistant, &family);
  return family;
}

ChatFamily DeepSeekWords(const std::string& eos) {
  ChatFamily family;
  family.name = "deepseek";
  family.starts_with_bos = true;
  family.system_close = "\n\n";
  family.user_open = "User: ";
  family.user_close = "\n\n";
  family.assistant_open = "Assistant:";
  family.answer_prefix = " ";
  family.assistant_end = Special(eos);
  return family;
}

}  // namespace

std::optional<ChatFamily> RecogniseChatFamily(std::string_view chat_template,
                                              const std::string& eos) {
  if (Has(chat_template, "<|im_start|>")) return ChatMl(chat_template);
  if (Has(chat_template, "<|start_header_id|>")) return Llama3(chat_template);
  if (Has(chat_template, "<start_of_turn>")) return Gemma();
  if (Has(chat_template, "<\xEF\xBD\x9CUser\xEF\xBD\x9C>")) {
    return DeepSeekMarks(chat_template, eos);
  }
  if (Has(chat_template, "[INST]") && !Has(chat_template, "[SYSTEM_PROMPT]")) {
    return Has(chat_template, "<<SYS>>") ? Llama2(eos) : Mistral(chat_template, eos);
  }
  if (HasLines(chat_template, "<|user|>\n")) {
    if (Has(chat_template, "<|end|>")) return RoleTags(chat_template, "phi", "<|end|>");
    if (Has(chat_template, "+ eos_token")) return RoleTags(chat_template, "zephyr", eos);
  }
  if (Has(chat_template, "User: ") && Has(chat_template, "Assistant:")) return DeepSeekWords(eos);
  return std::nullopt;
}

}  // namespace quantspec
