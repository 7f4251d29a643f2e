#include "cli/chat_commands.h"

#include <algorithm>
#include <cstdlib>
#include <span>
#include <utility>

#include "cli/answer.h"
#include "cli/conversation_file.h"
#include "cli/output.h"
#include "quantspec/error.h"

namespace quantspec::cli {

const char* const kChatCommands =
    "/clear        forgets the conversation (documents and system message stay)\n"
    "/exit         ends the program, as Ctrl-D does\n"
    "/file PATH    reads a document in front of the next message\n"
    "/help         shows this\n"
    "/load FILE    goes on with a conversation that was saved\n"
    "/save FILE    writes the conversation as JSON\n"
    "/system TEXT  sets the system message; without a text there is none\n"
    "Ctrl-C        stops an answer; twice, ends the program\n"
    "A message that begins with '/' is written with two of them. On a terminal a pasted text is\n"
    "one message, Alt-Enter begins a new line, and arrow keys bring back what was typed.\n";

namespace {

std::string Trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

// The path that a shell would make of it, as far as "~/" goes.
std::string PathOf(const std::string& command, const std::string& text) {
  if (text.empty()) throw Error(ErrorKind::kUsage, command + ": found no path, expected one");
  const char* home = std::getenv("HOME");
  if (!text.starts_with("~/") || home == nullptr) return text;
  return home + text.substr(1);
}

void AddFile(const std::string& path, Conversation& conversation, bool quiet) {
  if (path == "-") {
    throw Error(ErrorKind::kUsage, "/file: found '-', but standard input is the conversation");
  }
  Document document = std::move(ReadDocuments({&path, 1}, quiet).front());
  if (!quiet && !document.text.empty()) {
    Say("the next message begins with " + path + ", " +
        ShowBytes(static_cast<double>(document.text.size())));
  }
  conversation.AddDocument(std::move(document));
}

}  // namespace

bool IsCommand(const std::string& line) {
  if (!line.starts_with('/') || line.starts_with("//")) return false;
  return line.find('\n') == std::string::npos || line.starts_with("/system");
}

Next ObeyCommand(const std::string& line, Conversation& conversation, bool quiet) {
  const size_t end = std::min(line.find_first_of(" \t\n"), line.size());
  const std::string command = line.substr(0, end);
  const std::string rest = Trim(line.substr(end));
  if (command == "/exit") return Next::kLeave;
  if (command == "/clear") {
    conversation.Clear();
  } else if (command == "/help") {
    Print(kChatCommands);
  } else if (command == "/system") {
    conversation.SetSystem(rest);
  } else if (command == "/file") {
    AddFile(PathOf(command, rest), conversation, quiet);
  } else if (command == "/save") {
    const std::string path = PathOf(command, rest);
    SaveConversation(path, conversation.messages());
    if (!quiet) Say("saved as " + path);
  } else if (command == "/load") {
    const std::string path = PathOf(command, rest);
    conversation.SetMessages(LoadConversation(path));
    if (!quiet) {
      Say("the conversation has " + std::to_string(conversation.messages().size()) +
          " messages now");
    }
  } else {
    Say("unknown command '" + command +
        "', expected /clear, /exit, /file, /help, /load, /save or /system; a message that begins "
        "with '/' is written with two of them");
  }
  return Next::kGoOn;
}

}  // namespace quantspec::cli
