// Standard output and standard error. Results go to the one, everything else to the other.
#pragma once

#include <string>
#include <string_view>

namespace quantspec::cli {

// Writes all of `text` to standard output at once. Throws Error{kIo} for a full disk, a closed
// pipe and the like.
void Print(std::string_view text);

// One line on standard error, with "quantspec: " in front; a failure to write it is ignored.
void Say(std::string_view text);

bool StdoutIsTerminal();
bool StderrIsTerminal();
bool StdinIsTerminal();

// "98.4 MB", "1.23 GB": decimal units, three digits.
std::string ShowBytes(double bytes);
// "0.42", "12.3", "1234": three digits or more.
std::string ShowNumber(double value);
// "1,234".
std::string ShowCount(double count);

}  // namespace quantspec::cli
