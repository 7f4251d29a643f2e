#!/usr/bin/env python3
"""Writes jinja/character_classes.inc and character_cases.inc: what Python's str methods know of characters.

Ranges are {first, last} of code points; shifts {first, last, step, distance}.
"""

import pathlib
import sys

OUT = pathlib.Path(__file__).resolve().parent / "jinja"
CODES = [c for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000]


def ranges(test):
    found = []
    for code in CODES:
        if not test(chr(code)):
            continue
        if found and (found[-1][1] + 1 == code or (found[-1][1], code) == (0xD7FF, 0xE000)):
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def shifts(change):
    found = []
    for code in CODES:
        to = change(chr(code))
        if len(to) != 1 or to == chr(code):
            continue
        distance = ord(to) - code
        if found and found[-1][3] == distance:
            first, last, step, _ = found[-1]
            gap = code - last
            if gap <= 2 and (step in (0, gap)):
                found[-1][1:3] = [code, gap]
                continue
        found.append([code, code, 0, distance])
    return [(a, b, step or 1, d) for a, b, step, d in found]


def several(change):
    return [(code, change(chr(code))) for code in CODES if len(change(chr(code))) > 1]


def array(kind, name, cells):
    lines, line = [], ""
    for cell in cells:
        if len(line) + len(cell) + 1 > 96:
            lines.append(line)
            line = ""
        line += ("    " if not line else " ") + cell
    return "\n".join([f"constexpr {kind} {name}[] = {{", *lines, line, "};"])


def table(kind, name, rows):
    return array(kind, name, ["{" + ", ".join(f"0x{n:X}" if n >= 0 else f"-0x{-n:X}" for n in row) +
                              "}," for row in rows])


def texts(name, rows):
    return array("SeveralCharacters", name, [
        "{0x%X, \"%s\"}," % (code, "".join(f"\\x{b:02X}" for b in to.encode()))
        for code, to in rows])


def write(name, parts):
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    lines = [f"// Made by make_character_data.py with Python {version}.", "// clang-format off",
             *parts, "// clang-format on"]
    (OUT / name).write_text("\n".join(lines) + "\n", encoding="ascii")


def main():
    write("character_classes.inc", [
        table("CharacterRange", "kNotPrintable", ranges(lambda c: not c.isprintable())),
        table("CharacterRange", "kAlphabetic", ranges(str.isalpha))])
    write("character_cases.inc", [
        table("CharacterRange", "kDigits", ranges(str.isdigit)),
        table("CharacterRange", "kNumeric", ranges(str.isnumeric)),
        # Not seen by the rule for a sigma at the end of a word.
        table("CharacterRange", "kIgnoredByCase", ranges(
            lambda c: ("a" + c + "\u03a3").lower()[-1] == "\u03c2" and not c.isalpha())),
        table("CaseShift", "kToLower", shifts(str.lower)),
        table("CaseShift", "kToUpper", shifts(str.upper)),
        texts("kToSeveralUpper", several(str.upper)),
        texts("kToTitle", [(c, chr(c).title()) for c in CODES
                           if chr(c).title() != chr(c).upper()])])


if __name__ == "__main__":
    main()
