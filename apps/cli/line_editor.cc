#include "cli/line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/documents.h"
#include "cli/input_history.h"
#include "cli/output.h"
#include "cli/signal_pipe.h"
#include "cli/wide_text.h"
#include "quantspec/error.h"

namespace quantspec::cli {
namespace {

// A terminal that is asked to marks pasted text with these.
constexpr std::string_view kMarkPastes = "\x1b[?2004h", kDoNotMarkPastes = "\x1b[?2004l";
constexpr std::string_view kPasteEnd = "\x1b[201~";

// libedit writes wide characters as the locale says; without one that knows them they would be
// octal numbers.
void SetCharacters() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

// A pasted text as it would be in a file; libedit takes no NUL.
std::string WithLineFeeds(std::string_view pasted) {
  std::string text;
  for (size_t at = 0; at < pasted.size(); ++at) {
    const char c = pasted[at];
    if (c == '\0' || (c == '\n' && at > 0 && pasted[at - 1] == '\r')) continue;
    text += c == '\r' ? '\n' : c;
  }
  return text;
}

}  // namespace

struct LineEditor::Library {
  EditLine* editor = nullptr;
  HistoryW* history = nullptr;
  std::string prompt;
  std::string held;  // read from the terminal, but not asked for yet
  // Of one Read.
  std::optional<SignalPipe> signals;
  bool is_interrupted = false;
  std::string typed;             // when it was interrupted
  std::exception_ptr exception;  // which may not pass through libedit

  ~Library() {
    if (editor != nullptr) el_end(editor);
    if (history != nullptr) history_wend(history);
  }

  static Library& Of(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<Library*>(data);
  }

  void Bind();
  void AddHistory(const std::string& line) const;
  bool Fill();
  void ObeySignal(int signal);
  int NextCharacter(wchar_t* character);
  unsigned char Paste();

  // What libedit calls.
  static char* Prompt(EditLine* editor) { return Of(editor).prompt.data(); }
  static int GetCharacter(EditLine* editor, wchar_t* character);
  static unsigned char OnPaste(EditLine* editor, int);
  static unsigned char OnNewLine(EditLine* editor, int) {
    return el_winsertstr(editor, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
  }
};

void LineEditor::Library::Bind() {
  el_set(editor, EL_CLIENTDATA, this);
  el_set(editor, EL_PROMPT, &Library::Prompt);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_GETCFN, &Library::GetCharacter);
  el_wset(editor, EL_HIST, &history_w, history);
  el_set(editor, EL_ADDFN, "quantspec-paste", "Insert a pasted text", &Library::OnPaste);
  el_set(editor, EL_ADDFN, "quantspec-new-line", "Insert a line feed", &Library::OnNewLine);
  el_source(editor, nullptr);  // the user's .editrc
  constexpr const char* kKeys[][2] = {
      {"\\e[200~", "quantspec-paste"},   {"\\e^M", "quantspec-new-line"},
      {"\\e^J", "quantspec-new-line"},   {"^R", "em-inc-search-prev"},
      {"\\e[3~", "ed-delete-next-char"}, {"\\e[1;5C", "em-next-word"},
      {"\\e[1;5D", "ed-prev-word"}};
  const char* const end = nullptr;
  for (const auto& [key, name] : kKeys) el_set(editor, EL_BIND, key, name, end);
  el_set(editor, EL_BIND, "-a", kKeys[0][0], kKeys[0][1], end);  // vi's command mode
}

void LineEditor::Library::AddHistory(const std::string& line) const {
  HistEventW event;
  history_w(history, &event, H_ENTER, Widen(line).c_str());
}

// Waits for more bytes; false at their end, or after Ctrl-C.
bool LineEditor::Library::Fill() {
  while (const int signal = signals->Wait(STDIN_FILENO)) {
    ObeySignal(signal);
    if (is_interrupted) return false;
  }
  std::array<char, 4096> chunk;
  const ssize_t bytes = read(STDIN_FILENO, chunk.data(), chunk.size());
  if (bytes < 0 && errno == EINTR) return Fill();
  // A terminal that was closed gives EIO.
  if (bytes <= 0) return false;
  held.append(chunk.data(), static_cast<size_t>(bytes));
  if (held.size() <= kMaxDocumentBytes) return true;
  throw Error(ErrorKind::kUsage, "the pasted text is longer than any context");
}

void LineEditor::Library::ObeySignal(int signal) {
  if (signal == SIGINT) {
    const LineInfoW* line = el_wline(editor);
    typed = Narrow({line->buffer, static_cast<size_t>(line->lastchar - line->buffer)});
    is_interrupted = true;
    held.clear();
    return;
  }
  if (signal == SIGWINCH) {
    el_resize(editor);
  } else if (signal != SIGCONT) {
    el_set(editor, EL_PREP_TERM, 0);
    Print(kDoNotMarkPastes);
    signals->Obey(signal);
  }
  if (signal != SIGWINCH) {
    el_set(editor, EL_PREP_TERM, 1);
    Print(kMarkPastes);
  }
  el_set(editor, EL_REFRESH);
}

// 1, or -1 without a character.
int LineEditor::Library::NextCharacter(wchar_t* character) {
  FirstCharacter next;
  while ((next = ReadCharacter(held)).bytes == 0) {
    if (is_interrupted || !Fill()) return -1;
  }
  held.erase(0, next.bytes);
  *character = next.code;
  return 1;
}

unsigned char LineEditor::Library::Paste() {
  size_t end = 0;
  for (size_t from = 0; (end = held.find(kPasteEnd, from)) == std::string::npos;) {
    from = held.size() - std::min(held.size(), kPasteEnd.size());
    if (!Fill()) return CC_ERROR;
  }
  const std::wstring text = Widen(WithLineFeeds(std::string_view(held).substr(0, end)));
  held.erase(0, end + kPasteEnd.size());
  return text.empty() || el_winsertstr(editor, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

int LineEditor::Library::GetCharacter(EditLine* editor, wchar_t* character) {
  Library& self = Of(editor);
  try {
    return self.NextCharacter(character);
  } catch (...) {
    self.exception = std::current_exception();
    return -1;
  }
}

unsigned char LineEditor::Library::OnPaste(EditLine* editor, int) {
  Library& self = Of(editor);
  try {
    return self.Paste();
  } catch (...) {
    self.exception = std::current_exception();
    return CC_EOF;
  }
}

LineEditor::LineEditor(std::string prompt, const std::vector<std::string>& history)
    : library_(std::make_unique<Library>()) {
  SetCharacters();
  library_->prompt = std::move(prompt);
  library_->editor = el_init("quantspec", stdin, stdout, stderr);
  library_->history = history_winit();
  if (library_->editor == nullptr || library_->history == nullptr) {
    throw Error(ErrorKind::kIo, "the terminal cannot be used; give messages through a pipe");
  }
  HistEventW event;
  history_w(library_->history, &event, H_SETSIZE, static_cast<int>(InputHistory::kMost));
  history_w(library_->history, &event, H_SETUNIQUE, 1);
  for (const std::string& line : history) library_->AddHistory(line);
  library_->Bind();
}

LineEditor::~LineEditor() = default;

LineSource::Result LineEditor::Read(std::string* line) {
  Library& self = *library_;
  line->clear();
  self.signals.emplace();
  self.is_interrupted = false;
  el_set(self.editor, EL_PREP_TERM, 1);  // first, so that no key is taken by the terminal itself
  Print(kMarkPastes);
  int count = 0;
  const wchar_t* text = el_wgets(self.editor, &count);
  Print(kDoNotMarkPastes);
  self.signals.reset();
  if (self.exception) std::rethrow_exception(std::exchange(self.exception, nullptr));
  if (self.is_interrupted) {
    *line = std::exchange(self.typed, {});
    return Result::kInterrupted;
  }
  if (text == nullptr || count <= 0) return Result::kEnd;
  *line = Narrow({text, static_cast<size_t>(count)});
  while (!line->empty() && line->back() == '\n') line->pop_back();
  return Result::kLine;
}

void LineEditor::AddHistory(const std::string& line) { library_->AddHistory(line); }

bool TerminalCanEdit() {
  const char* terminal = std::getenv("TERM");
  return terminal != nullptr && std::strcmp(terminal, "dumb") != 0 && terminal[0] != '\0';
}

}  // namespace quantspec::cli
