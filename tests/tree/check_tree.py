#!/usr/bin/env python3
"""The rules of the house, checked on the tree: layers, sizes, forbidden words.

    check_tree.py ROOT         prints one line a breach, exits 1 if there is one
    check_tree.py --self-test  proves that every rule notices a small wrong tree
"""

import os
import pathlib
import re
import sys
import tempfile

# What each folder under src/ may include besides itself and the public headers
# (docs/architecture.md).
LAYERS = {
    "base": set(),
    "io": {"base"},
    "quant": {"base"},
    "decode": {"base"},
    "kernels": {"base", "quant"},
    "text": {"base"},
    "cache": {"base", "quant", "kernels/backend.h"},
    "formats": {"base", "io", "quant", "text", "kernels/backend.h"},
    "model": {"base", "quant", "kernels/backend.h", "cache/draft_policy.h", "cache/kv_cache.h",
              "formats/loaded_model.h", "formats/model_config.h"},
    "engine": {"base", "quant", "decode", "text", "kernels", "cache", "model",
               "formats/load_model.h", "formats/loaded_model.h", "formats/model_config.h",
               "formats/random_model.h"},
}
# Public headers that a folder under src/ may include, where not all of them.
PUBLIC = {"decode": {"quantspec/types.h", "quantspec/error.h"}}
# Tests may also use the implementations behind the interface that their folder is written against.
TEST_EXTRA = {"io": {"quant"}, "cache": {"kernels"}, "model": {"kernels", "cache", "formats"},
              "engine": {"formats"}}
# Names of a file format's own things, which only these folders know.
FOREIGN = re.compile(r"\w*(?:gguf|ggml)\w*", re.IGNORECASE)
FOREIGN_FOLDERS = ("io", "quant", "formats")
LINE_LIMIT = 400
SOURCES = (".h", ".cc", ".inc")
FOLDERS = ("include", "src", "apps", "tests", "bench", "examples")
INTRINSICS = re.compile(r"\b\w*(?:intrin|arm_neon|arm_sve|cpuid)\.h$")
CUDA = re.compile(r"^(?:cuda|cublas|cudnn|cooperative_groups)")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)
# Words a library must not use: it prints nothing and never ends the process.
PRINTS = re.compile(r"\bstd::(?:cout|cerr|clog)\b|(?<![\w.>])(?:std::)?(?:printf|puts|putchar|"
                    r"fprintf|fputs|exit|_Exit|quick_exit|abort|terminate)\s*\(")
FLAGS = re.compile(r"-march=|-mtune=|-ffast-math|-Ofast|"
                   r"(?<![\w-])-m(?:avx|sse|fma|f16c|bmi|arch)\w*")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")


def strip_comments(text, strings=True):
    """`text` with comments and, if asked, string contents blanked, line breaks kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
    return pattern.sub(lambda m: m.group() if m.group()[0] == '"' and not strings
                       else re.sub(r"[^\n]", " ", m.group()), text)


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.breaches = []
        self.files = {}
        for folder in FOLDERS:
            for path in sorted((self.root / folder).rglob("*")):
                if path.is_file() and path.suffix in SOURCES:
                    self.files[path.relative_to(self.root).as_posix()] = path.read_bytes()
        # Every build file, wherever it is, except in build trees and hidden folders.
        self.build_files = {}
        for path, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders if f != "build" and not f.startswith(".")]
            for name in names:
                if name in ("CMakeLists.txt", "CMakePresets.json") or name.endswith(".cmake"):
                    full = pathlib.Path(path) / name
                    self.build_files[full.relative_to(self.root).as_posix()] = full.read_text()

    def breach(self, path, line, message):
        self.breaches.append(f"{path}:{line}: {message}")

    def each_match(self, path, text, pattern):
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match

    def check(self):
        for path, data in self.files.items():
            text = data.decode("utf-8", errors="replace")
            self.check_text(path, data, text)
            self.check_includes(path, text)
            self.check_library_words(path, text)
            self.check_foreign_names(path, text)
            if path.endswith("_test.cc"):
                self.check_globbed(path)
        for path, text in self.build_files.items():
            for line, match in self.each_match(path, text, FLAGS):
                self.breach(path, line, f"compiler flag {match.group()}: instruction sets are "
                                        "chosen at run time, in target regions of kernels/cpu")
        return self.breaches

    def check_text(self, path, data, text):
        lines = data.count(b"\n")
        if lines > LINE_LIMIT:
            self.breach(path, lines, f"{lines} lines, at most {LINE_LIMIT}: split it")
        for line, match in self.each_match(path, text, re.compile(r"[^\x00-\x7f]")):
            self.breach(path, line, f"{match.group()!a} is not ASCII: write an escape")
            break
        for line, match in self.each_match(path, text, UNFINISHED):
            self.breach(path, line, f"{match.group()}: finish it or leave it out")

    def check_includes(self, path, text):
        for line, match in self.each_match(path, text, INCLUDE):
            quoted, target = match.group(1) == '"', match.group(2)
            if INTRINSICS.search(target) and not path.startswith("src/kernels/cpu/"):
                self.breach(path, line, f"includes {target}: intrinsics belong in src/kernels/cpu")
            if CUDA.search(target) and not path.startswith("src/kernels/cuda/"):
                self.breach(path, line, f"includes {target}: CUDA belongs in src/kernels/cuda")
            if quoted:
                self.check_include(path, line, target)

    def check_include(self, path, line, target):
        if target.startswith("quantspec/"):
            if f"include/{target}" not in self.files:
                self.breach(path, line, f"includes {target}, which is not in include/")
            self.check_public(path, line, target)
            return
        if path.startswith("include/"):
            self.breach(path, line, f"a public header includes {target}: only quantspec/... there")
            return
        if path.startswith("apps/"):
            own = "/".join(path.split("/")[:2])
            beside = (pathlib.PurePosixPath(path).parent / target).as_posix()
            if f"src/{target}" in self.files:
                self.breach(path, line, f"a program includes {target}: only quantspec/..., "
                                        "bench/... and its own files")
            elif target.startswith("bench/") and target in self.files:
                return
            elif not any(p in self.files for p in (f"{own}/{target}", f"apps/{target}", beside)):
                self.breach(path, line, f"includes {target}, which is nowhere in {own}/")
            return
        if not path.startswith("src/"):
            return
        if f"src/{target}" not in self.files:
            self.breach(path, line, f"includes {target}, which is not in src/ (includes are "
                                    "relative to src/)")
            return
        self.check_layer(path, line, target)

    def check_public(self, path, line, target):
        folder = path.split("/")[1] if path.startswith("src/") else ""
        if target not in PUBLIC.get(folder, {target}):
            self.breach(path, line, f"{folder} may not include {target}: of the public headers "
                                    f"only {', '.join(sorted(PUBLIC[folder]))}")

    def check_layer(self, path, line, target):
        folder = path.split("/")[1]
        to = target.split("/")[0]
        if folder not in LAYERS:
            self.breach(path, line, f"src/{folder} is not a known layer: {', '.join(LAYERS)}")
            return
        allowed = set(LAYERS[folder])
        if path.endswith(("_test.cc", "_fuzz.cc")) or "test" in path.rsplit("/", 1)[1]:
            allowed |= TEST_EXTRA.get(folder, set())
        if to != folder and to not in allowed and target not in allowed:
            self.breach(path, line, f"{folder} may not include {target}: only "
                                    f"{', '.join(sorted(allowed)) or 'itself'}")

    def check_library_words(self, path, text):
        if not path.startswith(("src/", "include/")) or path == "src/base/check.h":
            return
        if path.endswith(("_test.cc", "_fuzz.cc")):
            return
        for line, match in self.each_match(path, strip_comments(text), PRINTS):
            self.breach(path, line, f"{match.group().strip(' (')}: the library prints nothing and "
                                    "never exits")

    def check_foreign_names(self, path, text):
        parts = path.split("/")
        if parts[0] != "src" or parts[1] in FOREIGN_FOLDERS or path.endswith("_test.cc"):
            return
        for line, match in self.each_match(path, strip_comments(text, strings=False), FOREIGN):
            self.breach(path, line, f"{match.group()}: names of a file format belong in "
                                    "src/formats")

    def check_globbed(self, path):
        """Every test is named in, or globbed by, the nearest build file."""
        folder = path.rpartition("/")[0]
        while folder and f"{folder}/CMakeLists.txt" not in self.build_files:
            folder = folder.rpartition("/")[0]
        text = self.build_files.get(f"{folder}/CMakeLists.txt", "")
        inside = path[len(folder) + 1:]
        below = inside.rpartition("/")[0]
        dirs = re.search(r"qs_module\([^)]*DIRS((?:\s+[a-z0-9_/]+)+)", text)
        if below and not (dirs and below in dirs.group(1).split()):
            globbed = f"{below}/*" in text
        else:
            globbed = "qs_module(" in text or re.search(r"GLOB[^)]*\*(?:_test)?\.cc[\s\S]*qs_test\(",
                                                        text)
        if not globbed and inside not in text:
            self.breach(path, 1, "no CMakeLists.txt builds this test")


WRONG_TREES = {
    "includes upward": ("src/base/a.h", '#include "io/b.h"\n', "base may not include io/b.h"),
    "neighbour": ("src/decode/a.h", '#include "io/b.h"\n', "decode may not include io/b.h"),
    "engine's header": ("src/decode/a.h", '#include "quantspec/p.h"\n',
                        "decode may not include quantspec/p.h"),
    "implementation": ("src/model/a.h", '#include "kernels/cpu/c.h"\n',
                       "model may not include kernels/cpu/c.h"),
    "lost include": ("src/io/a.h", '#include "io/none.h"\n', "not in src/"),
    "program inside": ("apps/cli/a.cc", '#include "io/b.h"\n', "a program includes io/b.h"),
    "program without tool": ("apps/cli/a.cc", '#include "bench/none.h"\n', "nowhere in apps/cli/"),
    "library and tool": ("src/io/a.cc", '#include "bench/t.h"\n', "not in src/"),
    "public header": ("include/quantspec/a.h", '#include "io/b.h"\n', "a public header includes"),
    "unknown layer": ("src/misc/a.h", '#include "io/b.h"\n', "not a known layer"),
    "intrinsics": ("src/kernels/reference/a.cc", "#include <immintrin.h>\n", "intrinsics belong"),
    "long file": ("src/io/a.cc", "\n" * 401, "401 lines, at most 400"),
    "not ASCII": ("src/io/a.cc", "// caf\u00e9\n", "is not ASCII"),
    "unfinished": ("src/io/a.cc", "// TO" "DO: later\n", "finish it or leave it out"),
    "prints": ("src/io/a.cc", 'void F() { std::printf("x"); }\n', "prints nothing"),
    "exits": ("src/io/a.cc", "void F() { exit(1); }\n", "never exits"),
    "flag": ("src/io/CMakeLists.txt", "add_compile_options(-mavx2)\n", "compiler flag"),
    "native": ("cmake/a.cmake", 'set(CMAKE_CXX_FLAGS "-march=native")\n', "compiler flag"),
    "fast math": ("src/io/CMakeLists.txt", "add_compile_options(-ffast-math)\n", "compiler flag"),
    "foreign name": ("src/text/a.cc", "int F(const Gguf& file);\n", "belong in src/formats"),
    "foreign key": ("src/engine/a.cc", 'auto x = "tokenizer.ggml.pre";\n', "belong in src/formats"),
    "lost test": ("src/io/deep/a_test.cc", "\n", "no CMakeLists.txt builds this test"),
}
RIGHT_TREE = {
    "src/io/b.h": "#include <string>\n// printf(1) in a comment is fine\n",
    "src/io/b_test.cc": '#include "io/b.h"\nint main() { printf("fine in a test"); }\n',
    "src/io/CMakeLists.txt": "qs_module(io DEPENDS base)\n",
    "src/text/t.h": "// what a GGUF file calls it is fine in a comment\n",
    "src/formats/f.h": "struct Gguf;\n",
    "src/kernels/cpu/c.h": "#include <immintrin.h>\n",
    "src/io/c.h": '#include "quantspec/p.h"\n',
    "src/decode/a.cc": '#include "quantspec/types.h"\n',
    "include/quantspec/p.h": "#include <string>\n",
    "include/quantspec/types.h": "#include <string>\n",
    "apps/cli/m.cc": '#include "quantspec/p.h"\n#include "cli/n.h"\n#include "cli/n.h"\n',
    "apps/cli/n.h": "// own\n",
    "apps/cli/o.cc": '#include "bench/t.h"\n',
    "bench/t.h": '#include "quantspec/p.h"\n',
    "bench/t.cc": '#include "bench/t.h"\n#include "io/b.h"\n',
}


def breaches_of(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Tree(folder).check()


def self_test():
    failures = [f"the right tree: {line}" for line in breaches_of(RIGHT_TREE)]
    for name, (path, text, expected) in WRONG_TREES.items():
        found = breaches_of({**RIGHT_TREE, path: text})
        if not any(expected in line and line.startswith(path) for line in found):
            failures.append(f"{name}: not noticed; found {found}")
    return failures


def main():
    breaches = self_test() if sys.argv[1] == "--self-test" else Tree(sys.argv[1]).check()
    print("\n".join(breaches) or "nothing to complain about")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
