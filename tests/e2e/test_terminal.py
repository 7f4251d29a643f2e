"""quantspec chat on a terminal: a pseudo terminal plays the user's."""

import fcntl
import json
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time

import harness
from harness import MODEL, PROGRAM, TINY_MODELS

TEMPLATE = ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant: {% endif %}")
PROMPT = b"> "
READY = b"\x1b[?2004h"  # the program asks for marks around pasted text just before it reads
UP, LEFT, HOME, ALT_ENTER = b"\x1b[A", b"\x1b[D", b"\x1b[H", b"\x1b\r"


def pasted(text):
    """What a terminal sends for a pasted text."""
    return b"\x1b[200~" + text.replace("\n", "\r").encode() + b"\x1b[201~"


class Terminal:
    """A program on a pseudo terminal of its own, and all it has shown."""

    def __init__(self, *arguments, home, columns=80, environment=()):
        self.shown = b""
        self.controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        settings = dict(os.environ, HOME=str(home), TERM="xterm", LANG="C.UTF-8", LC_ALL="")
        settings.pop("XDG_STATE_HOME", None)
        settings.update(environment)

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [PROGRAM, *map(str, arguments)], stdin=terminal, stdout=terminal, stderr=terminal,
            env=settings, preexec_fn=take_terminal)
        os.close(terminal)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.controller)

    def read_some(self, limit_s):
        ready, _, _ = select.select([self.controller], [], [], limit_s)
        try:
            data = os.read(self.controller, 65536) if ready else b""
        except OSError:  # the program has closed its end
            return False
        self.shown += data
        return bool(data)

    def wait_for(self, text, after=0):
        """The place behind `text` in what was shown from `after` on."""
        end = time.monotonic() + harness.LIMIT_S
        while text not in self.shown[after:]:
            if time.monotonic() > end or (not self.read_some(1) and
                                          self.process.poll() is not None):
                raise AssertionError(f"{text!r} was not shown: {self.shown[after:]!r}")
        return self.shown.index(text, after) + len(text)

    def send(self, data):
        """Sends, and reads on meanwhile: a terminal holds back who does not."""
        while data:
            _, writable, _ = select.select([], [self.controller], [], 0.1)
            if writable:
                data = data[os.write(self.controller, data[:512]):]
            while self.read_some(0):
                pass

    def enter(self, data):
        """Types a line and waits until the next one may come."""
        before = len(self.shown)
        self.send(data + b"\r")
        return self.wait_for(READY, before)

    def end(self):
        """The exit code, once the program ends by itself."""
        end = time.monotonic() + harness.LIMIT_S
        while self.process.poll() is None and time.monotonic() < end:
            self.read_some(0.1)
        while self.read_some(0):  # what it wrote last
            pass
        return self.process.wait(timeout=1)


class OnATerminal(harness.ProgramTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "template").write_text(TEMPLATE)

    def chat(self, *arguments, model=TINY_MODELS / "llama-gqa.gguf", **settings):
        terminal = Terminal("chat", "--model", model, "--chat-template",
                            self.folder / "template", "--max-tokens", 2, *arguments,
                            home=self.folder, **settings)
        self.addCleanup(terminal.close)
        terminal.wait_for(READY)
        return terminal

    def messages(self, terminal, role="user"):
        """Texts of the conversation so far, as the program saves it."""
        path = self.folder / "saved.json"
        terminal.enter(b"/save " + bytes(path))
        return [m["content"] for m in json.loads(path.read_text()) if m["role"] == role]

    def history(self):
        return self.folder / ".local/state/quantspec/chat-history"


class Lines(OnATerminal):
    def test_a_pasted_text_is_one_message(self):
        terminal = self.chat()
        text = "first line\nsecond line\n\n\tlast one"
        terminal.send(pasted(text))
        terminal.enter(b"!")
        terminal.enter(b"after")
        self.assertEqual(self.messages(terminal), [text + "!", "after"])

    def test_a_pasted_line_of_any_length_arrives_whole(self):
        terminal = self.chat()
        text = "".join(f"word {i} " for i in range(9000)) + "end"  # 90,000 bytes
        terminal.enter(b"/system " + pasted(text))
        self.assertEqual(self.messages(terminal, "system"), [text])

    def test_a_typed_line_of_any_length_arrives_whole(self):
        terminal = self.chat()
        text = "".join(f"word {i} " for i in range(900)) + "end"  # above a terminal's 4,095 bytes
        terminal.enter(b"/system " + text.encode())
        self.assertEqual(self.messages(terminal, "system"), [text])

    def test_keys_edit_the_line(self):
        terminal = self.chat()
        terminal.enter(b"wrd" + LEFT * 2 + b"o" + HOME + b"my ")
        terminal.enter(b"two" + ALT_ENTER + b"lines")
        terminal.enter(b"wrong\x15right")  # Ctrl-U
        self.assertEqual(self.messages(terminal), ["my word", "two\nlines", "right"])

    def test_wide_characters_are_one_key_each(self):
        for locale in ("C.UTF-8", "C"):
            terminal = self.chat("--history=", environment={"LANG": locale})
            wide = "\u4e2d\u6587"
            terminal.enter(wide.encode() + b"\x7f" + "\u00e9\U0001F600".encode() + LEFT + b"-")
            self.assertEqual(self.messages(terminal), ["\u4e2d\u00e9-\U0001F600"])
            self.assertIn(wide.encode(), terminal.shown)

    def test_history_comes_back_in_the_next_conversation(self):
        terminal = self.chat()
        terminal.send(pasted("two\nlines"))
        terminal.enter(b"")
        terminal.enter(b"later")
        terminal.send(b"\x04")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(self.history().read_text(), "two\\nlines\nlater\n")
        self.assertEqual(self.history().stat().st_mode & 0o777, 0o600)
        terminal = self.chat()
        terminal.enter(UP)
        terminal.enter(UP * 2)
        self.assertEqual(self.messages(terminal), ["later", "two\nlines"])

    def test_an_empty_history_option_keeps_nothing(self):
        terminal = self.chat("--history=")
        terminal.enter(b"a secret")
        terminal.enter(UP + b"!")
        self.assertEqual(self.messages(terminal), ["a secret", "a secret!"])
        self.assertFalse(self.history().exists())

    def test_the_terminal_is_left_as_it_was(self):
        terminal = self.chat()
        before = termios.tcgetattr(terminal.controller)
        terminal.send(b"/exit\r")
        self.assertEqual(terminal.end(), 0)
        after = termios.tcgetattr(terminal.controller)
        self.assertNotEqual(before[3], after[3])
        self.assertTrue(after[3] & termios.ICANON and after[3] & termios.ECHO)
        self.assertGreater(terminal.shown.rfind(b"\x1b[?2004l"), terminal.shown.rfind(READY))

    def test_a_terminal_that_cannot_edit_reads_plain_lines(self):
        terminal = Terminal("chat", "--model", TINY_MODELS / "llama-gqa.gguf", "--chat-template",
                            self.folder / "template", "--max-tokens", 2, home=self.folder,
                            environment={"TERM": "dumb"})
        self.addCleanup(terminal.close)
        terminal.wait_for(PROMPT)
        terminal.send(b"/help\n")
        terminal.wait_for(b"/clear")
        terminal.send(b"/exit\n")
        self.assertEqual(terminal.end(), 0)
        self.assertNotIn(READY, terminal.shown)


class Commands(OnATerminal):
    def test_help_names_every_command(self):
        terminal = self.chat()
        place = terminal.enter(b"/help")
        for name in (b"clear", b"exit", b"file", b"load", b"save", b"system"):
            self.assertIn(b"/" + name, terminal.shown[:place])

    def test_a_document_is_read_in_front_of_the_next_message(self):
        document = self.folder / "document.txt"
        document.write_text("A document.")
        terminal = self.chat()
        terminal.enter(b"one")
        terminal.enter(b"/file " + bytes(document))
        terminal.enter(b"two")
        terminal.enter(b"three")
        self.assertEqual(self.messages(terminal), ["one", "A document.\n\ntwo", "three"])
        terminal.enter(b"/clear")
        terminal.enter(b"again")
        self.assertEqual(self.messages(terminal), ["A document.\n\nagain"])

    def test_a_conversation_is_saved_and_goes_on_elsewhere(self):
        saved = self.folder / "talk.json"
        terminal = self.chat("--system", "Be brief.")
        terminal.enter(b"one")
        terminal.enter(b"/save " + bytes(saved))
        first = json.loads(saved.read_text())
        self.assertEqual([m["role"] for m in first], ["system", "user", "assistant"])
        terminal = self.chat()
        terminal.enter(b"/load " + bytes(saved))
        terminal.enter(b"/system Be long.")
        terminal.enter(b"two")
        self.assertEqual(self.messages(terminal, "system"), ["Be long."])
        self.assertEqual(self.messages(terminal), ["one", "two"])
        terminal.enter(b"/system")
        self.assertEqual(self.messages(terminal, "system"), [])

    def test_what_goes_wrong_is_told_and_the_conversation_goes_on(self):
        terminal = self.chat()
        for line, told in [(b"/file /no/such", b"cannot be opened"), (b"/save", b"no path"),
                           (b"/load /dev/null", b"no JSON"), (b"/save /no/such/x", b"written"),
                           (b"/nonsense", b"unknown command")]:
            place = terminal.enter(line)
            self.assertIn(told, terminal.shown[:place])
        terminal.enter(b"//still here")
        self.assertEqual(self.messages(terminal), ["/still here"])

    def test_a_message_that_the_template_refuses_is_as_if_not_said(self):
        (self.folder / "template").write_text(
            "{% if 'bad' in messages[-1].content %}{{ raise_exception('not that') }}{% endif %}" +
            TEMPLATE)
        terminal = self.chat()
        place = terminal.enter(b"bad")
        self.assertIn(b"not that", terminal.shown[:place])
        terminal.enter(b"good")
        self.assertEqual(self.messages(terminal), ["good"])


class Signals(OnATerminal):
    def test_ctrl_c_clears_the_line_and_twice_ends(self):
        terminal = self.chat()
        place = len(terminal.shown)
        terminal.send(b"never sent\x03")
        terminal.wait_for(READY, place)
        terminal.enter(b"sent")
        self.assertEqual(self.messages(terminal), ["sent"])
        place = len(terminal.shown)
        terminal.send(b"\x03")
        place = terminal.wait_for(b"Ctrl-C again", place)
        terminal.wait_for(READY, place)
        terminal.send(b"\x03")
        self.assertEqual(terminal.end(), 130)

    def test_the_window_may_change_its_size(self):
        terminal = self.chat()
        terminal.send(b"some ")
        fcntl.ioctl(terminal.controller, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 20, 0, 0))
        terminal.process.send_signal(signal.SIGWINCH)
        time.sleep(0.2)
        terminal.enter(b"words that do not fit into twenty columns")
        self.assertEqual(self.messages(terminal),
                         ["some words that do not fit into twenty columns"])

    def test_being_ended_leaves_the_terminal_as_it_was(self):
        terminal = self.chat()
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.end(), -signal.SIGTERM)
        self.assertTrue(termios.tcgetattr(terminal.controller)[3] & termios.ICANON)
        self.assertGreater(terminal.shown.rfind(b"\x1b[?2004l"), terminal.shown.rfind(READY))

    def test_stopping_and_going_on_leaves_the_line_as_it_was(self):
        # Nobody could let it go on here, so the system does not stop it; the program cannot know.
        terminal = self.chat()
        for signal_, typed in [(signal.SIGTSTP, b"half "), (signal.SIGCONT, b"and ")]:
            terminal.send(typed)
            terminal.wait_for(typed)
            place = len(terminal.shown)
            terminal.process.send_signal(signal_)
            terminal.wait_for(READY, place)
        terminal.enter(b"done")
        self.assertEqual(self.messages(terminal), ["half and done"])

    @harness.needs_model
    def test_ctrl_c_stops_an_answer_and_again_ends(self):
        terminal = self.chat("--ignore-eos", "--max-tokens", 6000, model=MODEL)
        place = terminal.wait_for(PROMPT)
        terminal.send(b"Count to a thousand.\r")
        place = terminal.wait_for(b"\n", place)
        time.sleep(1)
        terminal.send(b"\x03")
        terminal.wait_for(READY, place)
        self.assertEqual(self.messages(terminal), ["Count to a thousand."])
        place = len(terminal.shown)
        terminal.send(b"And again.\r")
        place = terminal.wait_for(b"\n", place)
        time.sleep(1)
        terminal.send(b"\x03")
        terminal.wait_for(READY, place)
        terminal.send(b"\x03")
        self.assertEqual(terminal.end(), 130)


if __name__ == "__main__":
    harness.main()
