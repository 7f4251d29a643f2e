#!/usr/bin/env python3
"""Writes composition_data.inc: what Unicode's composed normal form (NFC) needs to know.

    make_composition_data.py > composition_data.inc

The Unicode version is that of the Python that runs it.
"""

import sys
import unicodedata


def main():
    pairs, one_way, singles, classes = [], [], [], []
    for code in range(0x110000):
        if 0xAC00 <= code <= 0xD7A3 or 0xD800 <= code <= 0xDFFF:
            continue  # Hangul syllables follow a rule; surrogates are no characters
        char = chr(code)
        parts = unicodedata.decomposition(char)
        if parts and not parts.startswith("<"):
            numbers = [code] + [int(part, 16) for part in parts.split()]
            decomposed = unicodedata.normalize("NFD", char)
            composes = unicodedata.normalize("NFC", decomposed) == char
            table = singles if len(numbers) == 2 else pairs if composes else one_way
            table.append("".join(f"{number:05X}" for number in numbers))
        order = unicodedata.combining(char)
        if order:
            if classes and classes[-1][1] == code - 1 and classes[-1][2] == order:
                classes[-1][1] = code
            else:
                classes.append([code, code, order])

    def write(name, comment, items):
        width = len(items[0])
        a_line = 92 // width
        print(f"\n// {comment}")
        print(f"constexpr std::string_view {name} =")
        lines = ["".join(items[i:i + a_line]) for i in range(0, len(items), a_line)]
        print("\n".join(f'    "{line}"' for line in lines) + ";")

    print(f"// Unicode {unicodedata.unidata_version}, written by make_composition_data.py.")
    write("kPairs", "Character, its first and its second part, 5 hexadecimal digits each.", pairs)
    write("kOneWayPairs", "The same, where the parts do not compose to the character.", one_way)
    write("kSingles", "Character and the one that it decomposes to.", singles)
    write("kCombiningClasses", "First and last character of a range, 2 digits of their class.", [f"{a:05X}{b:05X}{order:02X}" for a, b, order in classes])


if __name__ == "__main__":
    sys.exit(main())
