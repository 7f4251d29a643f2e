#!/usr/bin/env python3
"""Writes the seeds of tokenizer_fuzz: tiny tokenizers with chat templates as GGUF files, and texts.

Needs nothing but Python and make_corpus.py beside it.
"""
import pathlib

from make_corpus import F32, I32, TEXT, U32, array, entry, tensor_file

OUT = pathlib.Path(__file__).resolve().parent / "corpus" / "tokenizer"
TEMPLATES = {
    "chatml": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m['content'] }}<|im_end|>\n"
              "{% endfor %}<|im_start|>assistant\n",
    "llama2": "{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m.content|trim + ' [/INST]' }}"
              "{% endfor %}",
    "llama3": "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
              "{{ m.content | trim }}<|eot_id|>{% endfor %}",
    "zephyr": "{%- for m in messages -%}<|{{ m.role }}|>\n{{ m.content + eos_token }}{%- endfor %}",
    "gemma": "{{ raise_exception('no system') if messages[0].role == 'system' }}",
    "deepseek": "<\uff5cUser\uff5c>{{ messages[-1].content.split()[0] }}<\uff5cAssistant\uff5c>",
    "broken": "{% for m in messages %}{{ m.content",
}


def bpe(pre, template):
    tokens = [chr(c) for c in range(33, 127)] + ["\u0120", "he", "ll", "hell", "<|im_start|>",
                                                "<|im_end|>", "<tool>"]
    types = [1] * (len(tokens) - 3) + [3, 3, 4]
    return tensor_file([
        entry("tokenizer.ggml.model", TEXT, "gpt2"), entry("tokenizer.ggml.pre", TEXT, pre),
        array("tokenizer.ggml.tokens", TEXT, tokens), array("tokenizer.ggml.token_type", I32, types),
        array("tokenizer.ggml.merges", TEXT, ["h e", "l l", "he ll"]),
        entry("tokenizer.ggml.bos_token_id", U32, len(tokens) - 3),
        entry("tokenizer.ggml.eos_token_id", U32, len(tokens) - 2),
        entry("tokenizer.chat_template", TEXT, template)], [])


def spm(template):
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tokens += ["\u2581", "h", "e", "he", "\u2581he", "<tool>"]
    types = [2, 3, 3] + [6] * 256 + [1] * 5 + [4]
    return tensor_file([
        entry("tokenizer.ggml.model", TEXT, "llama"),
        array("tokenizer.ggml.tokens", TEXT, tokens), array("tokenizer.ggml.token_type", I32, types),
        array("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(tokens))]),
        entry("tokenizer.ggml.bos_token_id", U32, 1), entry("tokenizer.ggml.eos_token_id", U32, 2),
        entry("tokenizer.chat_template", TEXT, template)], [])


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, template in TEMPLATES.items():
        (OUT / f"bpe-{name}.gguf").write_bytes(bpe("smollm", template))
    for name in ("llama2", "zephyr"):
        (OUT / f"spm-{name}.gguf").write_bytes(spm(TEMPLATES[name]))
    texts = {
        "words": b"hello hello, he's  12345 <tool>x</tool> <|im_end|>\r\n\r\n\t end  ",
        "scripts": "\u4f60\u597d e\u0301\u0323 \U0001f468\u200d\U0001f469 \u1100\u1161 \u0627\u0644 \u00bd\u2003x".encode(),
        "broken": b"caf\xe9 \xf0\x9f\x98 \xe2\x82 \xc0\xaf \xed\xa0\x80 \xff\x00\xfe",
        "spaces": b" " * 40 + b"\n" * 9 + b"\t" * 7 + b"x" + b" " * 9,
    }
    for name, data in texts.items():
        (OUT / f"{name}.txt").write_bytes(data)


if __name__ == "__main__":
    main()
