// The common families of chat templates as data: what stands before and after
// each turn.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quantspec {

// Names between two kMark characters are special tokens (plain text where the
// vocabulary has no such token, as "[INST]" in Llama 2).
inline constexpr char kMark = '\1';

struct ChatFamily {
  std::string name;
  bool starts_with_bos = false;
  bool turns_start_with_bos = false;  // every user turn, not only the first
  bool trims = false;                 // white space around message texts is dropped
  bool trims_answers = false;         // the same, around quoted answers only
  bool system_in_user = false;        // a system text stands inside a user turn, untrimmed
  bool system_in_last = false;        // that turn is the last one, not the first
  bool trims_whole_turn = false;      // a user turn is trimmed with the system text in it
  std::string system_open, system_close;
  std::string default_system;  // inserted where the messages bring none; empty = nothing
  std::string system_prefix;   // stands before any system text, itself part of the turn
  std::string user_open, user_close;
  std::string assistant_open;      // opens the turn that the model writes
  std::string answer_prefix;       // before an answer that is quoted, not generated
  std::string thinking_open;       // before an answer that is generated, not quoted
  std::string thinking_end;        // a quoted answer begins behind the last of these;
                                   // empty = at once
  std::string assistant_close;     // before the end of an answer that is quoted,
                                   // not generated
  std::string assistant_end;       // what the model generates at the end of its turn
  std::string assistant_after;     // what the template adds behind that
  bool drops_line_breaks = false;  // those behind thinking_end
};

// The family of a template; nullopt if none is recognised. `bos` and `eos` are
// the names of those tokens, empty where there are none.
std::optional<ChatFamily> RecogniseChatFamily(std::string_view chat_template,
                                              const std::string& eos);

}  // namespace quantspec
