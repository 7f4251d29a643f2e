"""Texts that tokenizers are compared over; shared by the scripts beside it. Tests make the random
strings again."""

import json
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
RANDOM_STRINGS = 10000
# What random strings are made of: scripts, marks, spaces of many kinds, punctuation, digits.
ALPHABET = ("aaaeeinorstTHE'sdlmv    \n\n\t\r0123456789.,!?-_/()[]{}<>|&^~\"#$%*+=:;@`\\"
            "\u00e4\u00f6\u00fc\u00df\u00e9\u0301\u0308\u00d1\u0130\u0131\u017f\u212a\u1e9e\u01c5"
            "\u0435\u043f\u0440\u041d\u03b1\u03a3\u03c2\u05d0\u05b0\u0639\u064b\u0661\u0915\u093f"
            "\u0e01\u0e33\u4e2d\u6587\u65e5\u3042\u30ab\u30fc\uac00\u1100\u1161\u2167\u00bd\u00b2"
            "\u0085\u00a0\u1680\u2003\u2028\u202f\u3000\u180e\u200b\u200d\ufeff\u2581\u2019\u201c"
            "\u20ac\u00ac\U0001f600\U0001f468\U0001d7d8\ufb01\u0345\u0e3f\u2126")
# Letters of words, by script.
SCRIPTS = [("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\u00e4\u00f6\u00fc\u00e9\u00f1\u0131\u0307"),
           "".join(map(chr, range(0x410, 0x450))), "".join(map(chr, range(0x391, 0x3ca))),
           "".join(map(chr, [*range(0x621, 0x63b), *range(0x641, 0x653)])),
           "".join(map(chr, [*range(0x905, 0x93a), *range(0x93e, 0x94e)])),
           "".join(map(chr, [*range(0x4e00, 0x5200), *range(0x3041, 0x3097),
                             *range(0xac00, 0xb000)]))]
BETWEEN = [" "] * 20 + [", ", ". ", "  ", "\n", "\n\n", "\t", " - ", "'s ", "; ", "\u3002", "\u060c ",
                        "\u0964 ", " (", ") ", "\r\n", "\u00a0", "... "]


def nasty_texts():
    """The valid ones."""
    return [entry["text"] for entry in json.loads((HERE / "nasty.json").read_text())
            if "text" in entry]


def random_strings():
    """The same 32-bit generator as the tests'."""
    characters, state, strings = list(ALPHABET), 1, []

    def draw(count):
        nonlocal state
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (state >> 8) % count

    for _ in range(RANDOM_STRINGS):
        strings.append("".join(characters[draw(len(characters))] for _ in range(1 + draw(24))))
    return strings


def scripts_text(size):
    """Seeded words of six scripts, numbers among them, of `size` bytes and a little more."""
    draw, words, bytes_ = random.Random(7), [], 0
    known = [["".join(draw.choices(letters, k=draw.randint(1, 9))) for _ in range(4000)]
             for letters in SCRIPTS]
    while bytes_ < size:
        script = draw.choice(known)
        for _ in range(draw.randint(5, 60)):
            word = str(draw.randrange(10 ** draw.randint(1, 9))) if draw.random() < 0.05 \
                else draw.choice(script)
            words.append(word + draw.choice(BETWEEN))
            bytes_ += len(words[-1].encode())
    return "".join(words)


def fnv(parts):
    """FNV-1a, 64 bits, over bytes."""
    value = 0xCBF29CE484222325
    for part in parts:
        for byte in part:
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"
