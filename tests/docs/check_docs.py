#!/usr/bin/env python3
"""The user's documents, checked: links, options, JSON fields, snippets and forgotten placeholders.

    check_docs.py ROOT         prints one line a breach, exits 1 if there is one
    check_docs.py --self-test  proves that every check notices a small wrong document

QUANTSPEC_EXECUTABLE names the program, QUANTSPEC_TEST_MODEL the demo model. Snippets are the lines
of ```sh blocks in README.md and docs/ that call `quantspec`. They run in a folder with model.gguf
and book.txt, unless <!-- not run: reason --> stands before their block; options are checked either
way. Exits 77 if snippets were left out because there is no model.
"""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

STORY = "examples/a-case-of-identity.txt"
BOOK_CHARACTERS = 3000  # about 740 tokens of the demo model
LIMIT_S = 300           # of one line; generous, for sanitized builds
SHOWN_LINES = 12        # of a failing line's output

LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
HELP_OPTION = re.compile(r"^  (?:-\w,)?(--[a-z][a-z0-9-]*)", re.MULTILINE)
HELP_COMMAND = re.compile(r"^  ([a-z]+) ", re.MULTILINE)
NOT_RUN = re.compile(r"<!--\s*not run\b:?\s*(.*?)\s*-->")


def prose(text):
    """`text` with fenced blocks and inline code blanked, line breaks kept."""
    pattern = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def anchors(text):
    """Names of the headings, as GitHub makes them."""
    blanked = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.*?) *$", blanked, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands_of(line):
    """The simple commands of a shell line, each a list of words without variables in front."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands = [[]]
    for word in lexer:
        if set(word) <= set("();<>|&"):
            if not set(word) & set("<>"):
                commands.append([])
        elif commands[-1] or not re.match(r"\w+=", word):
            commands[-1].append(word)
    return [command for command in commands if command]


def keys_of(value):
    """Every key in a JSON value; those under "metadata" belong to model files."""
    if isinstance(value, list):
        return {key for element in value for key in keys_of(element)}
    if not isinstance(value, dict):
        return set()
    keys = set(value)
    for key, inner in value.items():
        if key != "metadata":
            keys |= keys_of(inner)
    return keys


class Docs:
    def __init__(self, root, program, model, say):
        self.root = pathlib.Path(root).resolve()
        self.program = pathlib.Path(program).resolve()
        self.model = model
        self.say = say  # called with a line for every snippet that was run
        self.breaches = []
        self.lines_run = 0
        self.lines_left_out = 0
        self.texts = {}
        for path, folders, names in os.walk(self.root):
            folders[:] = sorted(f for f in folders if f != "build" and not f.startswith("."))
            for name in sorted(n for n in names if n.endswith(".md")):
                full = pathlib.Path(path) / name
                self.texts[full.relative_to(self.root).as_posix()] = full.read_text("utf-8")
        self.reference = self.texts.get("docs/cli.md", "")
        self.options = self.read_help()

    def breach(self, path, line, message):
        self.breaches.append(f"{path}:{line}: {message}")

    def each_match(self, text, pattern):
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match

    def help_text(self, *command):
        return subprocess.run([self.program, *command, "--help"], check=True, text=True,
                              capture_output=True, timeout=LIMIT_S).stdout

    def read_help(self):
        """The options of every command; "" stands for the program itself."""
        text = self.help_text()
        options = {"": set(HELP_OPTION.findall(text))}
        for command in HELP_COMMAND.findall(text.partition("Subcommands:")[2]):
            options[command] = set(HELP_OPTION.findall(self.help_text(command)))
        return options

    def check(self):
        for path, text in self.texts.items():
            for line, match in self.each_match(text, re.compile("@@.*")):
                self.breach(path, line, f"a placeholder is left: {match.group()[:40]}")
            self.check_links(path, text)
        self.check_options()
        with tempfile.TemporaryDirectory() as folder:
            self.prepare(pathlib.Path(folder))
            for path, text in self.texts.items():
                if path == "README.md" or path.startswith("docs/"):
                    self.check_snippets(path, text, folder)
        return self.breaches

    def check_links(self, path, text):
        for line, match in self.each_match(prose(text), LINK):
            target, _, anchor = match.group(1).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            full = self.root / path
            if target:
                full = full.parent / target
            if not full.exists():
                self.breach(path, line, f"links to {target}, which does not exist")
            elif anchor and anchor not in anchors(full.read_text("utf-8")):
                self.breach(path, line, f"links to #{anchor}, but {full.name} has no such heading")

    def check_options(self):
        known = set().union(*self.options.values())
        for line, match in self.each_match(self.reference, OPTION):
            if match.group() not in known:
                self.breach("docs/cli.md", line, f"{match.group()} is an option of no command")
        named = set(OPTION.findall(self.reference))
        for command, options in self.options.items():
            for option in sorted(options - named):
                self.breach("docs/cli.md", 1, f"does not name {option} of quantspec {command}")

    # ------------------------------------------------------------------------------- snippets

    def prepare(self, folder):
        """What snippets find: the program on the PATH, a model and a text."""
        (folder / "bin").mkdir()
        (folder / "bin" / "quantspec").symlink_to(self.program)
        story = (self.root / STORY).read_text("utf-8")
        (folder / "book.txt").write_text(story[:BOOK_CHARACTERS], "utf-8")
        if self.model:
            (folder / "model.gguf").symlink_to(pathlib.Path(self.model).resolve())

    def check_snippets(self, path, text, folder):
        language, is_run, before, joined = None, True, "", ""
        for number, line in enumerate(text.splitlines(), 1):
            fence = re.match(r"```(\w*)\s*$", line)
            if fence and language is None:
                language = fence.group(1)
                reason = NOT_RUN.search(before)
                is_run = reason is None
                if reason and (language != "sh" or not reason.group(1)):
                    self.breach(path, number, "<!-- not run: --> needs a reason and an sh block")
            elif fence:
                language = None
            elif language == "sh":
                joined += line
                if joined.endswith("\\"):
                    joined = joined[:-1]
                    continue
                self.check_line(path, number, joined, is_run, folder)
                joined = ""
            if line.strip():
                before = line

    def check_line(self, path, number, line, is_run, folder):
        try:
            commands = commands_of(line)
        except ValueError as error:
            self.breach(path, number, f"is no shell line ({error}): {line}")
            return
        calls = [command[1:] for command in commands if command[0] == "quantspec"]
        for call in calls:
            self.check_call(path, number, call)
        for name in (command[0] for command in commands if "/" in command[0]):
            if not os.access(self.root / name, os.X_OK):
                self.breach(path, number, f"runs {name}, which is no program in the tree")
        if not calls or not is_run:
            return
        if "model.gguf" in line and not self.model:
            self.lines_left_out += 1
            return
        self.run_line(path, number, line, folder)

    def check_call(self, path, number, call):
        is_command = bool(call) and not call[0].startswith("-")
        command = call[0] if is_command else ""
        if command not in self.options:
            self.breach(path, number, f"quantspec has no command {command}")
            return
        for word in call:
            option = word.partition("=")[0]
            if OPTION.fullmatch(option) and option not in self.options[command]:
                self.breach(path, number, f"{option} is no option of quantspec {command}")

    def run_line(self, path, number, line, folder):
        environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        begin = time.monotonic()
        try:
            done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=folder, text=True,
                                  env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                                  errors="replace", timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            self.breach(path, number, f"still runs after {LIMIT_S} s: {line}")
            return
        self.lines_run += 1
        self.say(f"{time.monotonic() - begin:6.1f} s  {path}:{number}: {line}")
        if done.returncode:
            shown = "\n  ".join((done.stdout + done.stderr).splitlines()[-SHOWN_LINES:])
            self.breach(path, number, f"exits with {done.returncode}: {line}\n  {shown}")
        elif "--json" in line:
            self.check_fields(path, number, done.stdout)

    def check_fields(self, path, number, output):
        """Every field of JSON output is named, in backticks, in docs/cli.md."""
        spans = re.findall(r"`([^`\n]+)`", self.reference)
        named = {word for span in spans for word in re.findall(r"\w+", span)}
        for line in output.splitlines():
            if line.startswith("{"):
                for key in sorted(keys_of(json.loads(line)) - named):
                    self.breach(path, number, f"prints the field {key}, which docs/cli.md does "
                                              "not name")
                    named.add(key)


# --------------------------------------------------------------------------------- self-test

PROGRAM = """#!/bin/sh
case "$*" in
  --help) printf 'Options:\\n  -h,--help  x\\n\\nSubcommands:\\n  say  x\\n' ;;
  'say --help') printf 'Options:\\n  -h,--help  x\\n  --file F ...  x\\n  --json  x\\n' ;;
  'say --file book.txt --json') echo '{"words": [{"count": 1}], "metadata": {"any.key": 2}}' ;;
  'say --file book.txt') cat book.txt ;;
  'say --file model.gguf') cat model.gguf ;;
  *) echo 'this went wrong' >&2; exit 2 ;;
esac
"""
REFERENCE = ("# Commands\n\n## Say it\n\n"
             "`--help`, `--file F`, `--json`: `words[]`, `count`, `metadata`\n")
RIGHT_DOCS = {
    "quantspec": PROGRAM,
    "bin/tool": "#!/bin/sh\n",
    STORY: "Once upon a time.\n",
    "docs/cli.md": REFERENCE,
    "README.md": "[one](docs/cli.md) [two](docs/cli.md#say-it) [far](https://example.org/@x)\n"
                 "`[no](link)`\n```sh\nbin/tool\nquantspec say --file book.txt | cat > out\n"
                 "X=1 quantspec say --file book.txt --json  # a comment\n"
                 "quantspec say \\\n  --file model.gguf\n```\n"
                 "<!-- not run: it would fail -->\n\n```sh\nquantspec say --file none\n```\n",
    "build/any.md": "[bad](none.md) @@\n",
}
WRONG_DOCS = {
    "bad link": ("a/b.md", "\n[x](none.md)\n", "a/b.md:2: links to none.md"),
    "bad heading": ("a.md", "[x](docs/cli.md#none)\n", "a.md:1: links to #none"),
    "placeholder": ("docs/a.md", "x\n@@X@@\n", "docs/a.md:2: a placeholder is left"),
    "unknown option": ("docs/cli.md", REFERENCE + "`--fiel`\n",
                       "docs/cli.md:6: --fiel is an option of no command"),
    "unnamed option": ("docs/cli.md", REFERENCE.replace("`--file F`, ", ""),
                       "does not name --file of quantspec say"),
    "failing snippet": ("docs/a.md", "x\n```sh\n\nquantspec say --file none\n```\n",
                        "docs/a.md:4: exits with 2: quantspec say --file none\n  this went wrong"),
    "failing in a pipe": ("README.md", "```sh\nquantspec say --file none | cat\n```\n",
                          "README.md:2: exits with 2"),
    "wrong option": ("README.md", "<!-- not run: x -->\n```sh\nquantspec say --fiel=x\n```\n",
                     "README.md:3: --fiel is no option of quantspec say"),
    "wrong command": ("README.md", "<!-- not run: x -->\n```sh\nquantspec sya\n```\n",
                      "README.md:3: quantspec has no command sya"),
    "no reason": ("README.md", "<!-- not run -->\n```sh\nquantspec say --file none\n```\n",
                  "README.md:2: <!-- not run: --> needs a reason"),
    "open quote": ("README.md", "```sh\nquantspec say 'a\n```\n",
                   "README.md:2: is no shell line"),
    "lost program": ("README.md", "```sh\nscripts/none --all\n```\n", "README.md:2: runs scripts/"),
    "unnamed field": ("docs/cli.md", REFERENCE.replace(", `count`", ""),
                      "README.md:6: prints the field count"),
}


def checked(files, model):
    """The Docs of a tree of these files, and its breaches."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for name in ("quantspec", "bin/tool"):
            (root / name).chmod(0o755)
        docs = Docs(root, root / "quantspec", root / STORY if model else "", lambda line: None)
        return docs, docs.check()


def self_test():
    docs, breaches = checked(RIGHT_DOCS, model=True)
    failures = [f"the right documents: {line}" for line in breaches]
    if (docs.lines_run, docs.lines_left_out) != (3, 0):
        failures.append(f"the right documents: {docs.lines_run} lines were run, not 3")
    docs, breaches = checked(RIGHT_DOCS, model=False)
    if breaches or (docs.lines_run, docs.lines_left_out) != (2, 1):
        failures.append(f"without a model: {docs.lines_left_out} left out, not 1; {breaches}")
    for name, (path, text, expected) in WRONG_DOCS.items():
        _, found = checked({**RIGHT_DOCS, path: text}, model=True)
        if not any(expected in line for line in found):
            failures.append(f"{name}: not noticed; found {found}")
    return failures


def main():
    if sys.argv[1] == "--self-test":
        breaches, left_out = self_test(), 0
    else:
        docs = Docs(sys.argv[1], os.environ["QUANTSPEC_EXECUTABLE"],
                    os.environ.get("QUANTSPEC_TEST_MODEL", ""),
                    lambda line: print(line, flush=True))
        breaches, left_out = docs.check(), docs.lines_left_out
    print("\n".join(breaches) or "nothing to complain about")
    if left_out and not breaches:
        print(f"skipped: {left_out} snippets need QUANTSPEC_TEST_MODEL, the demo model")
        sys.exit(77)
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
