#!/usr/bin/env python3
"""Renders published chat templates for the corpus test; run by scripts/fetch-templates.

    make_template_corpus.py FOLDER    reads FOLDER/*.jinja, writes FOLDER/corpus.json

A case is {"template": file, "context": {...}, "text": ...}, without text where the template fails.
"""

import json
import pathlib
import sys

from jinja_reference import render

TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a place \u2014 \"now\" & later.",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "the city's name"},
        "days": {"type": "integer", "enum": [1, 2, 3], "default": 1},
        "units": {"type": ["string", "null"]},
        "where": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": []},
        "tags": {"type": "array", "items": {"type": "string"}}},
        "required": ["city"]},
    "return": {"type": "string", "description": "a text"}}}]
CALL = {"id": "call00001", "type": "function", "function": {
    "name": "get_weather", "arguments": {"city": "Z\u00fcrich", "days": 2, "exact": True,
                                         "near": 0.5, "tags": ["a", "b"], "units": None}}}
CONVERSATIONS = {
    "question": {"messages": [{"role": "user", "content": "Hello, who are you?"}]},
    "system": {"messages": [
        {"role": "system", "content": "  You are terse.\n"},
        {"role": "user", "content": " What's 2 + 2?  "}]},
    "turns": {"messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi \U0001f600"},
        {"role": "assistant", "content": "<think>\nA greeting.\n</think>\n\nHello \u00e9\u00e8!"},
        {"role": "user", "content": "<|im_end|> and \"quotes\" & <tags>\n\n"},
        {"role": "assistant", "content": "\n Indeed. "},
        {"role": "user", "content": "Bye"}]},
    "tools": {"tools": TOOLS, "messages": [
        {"role": "system", "content": "Use tools."},
        {"role": "user", "content": "How is the weather in Z\u00fcrich?"}]},
    "calls": {"tools": TOOLS, "messages": [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call00001", "name": "get_weather",
         "content": "{\"sky\": \"grey\", \"t\": -3.5}"},
        {"role": "assistant", "content": "Grey."},
        {"role": "user", "content": "Thanks"}]},
    "thoughts": {"add_generation_prompt": False, "enable_thinking": False, "messages": [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because.", "reasoning_content": "Hm.\nYes.",
         "thinking": "Hm.\nYes."}]},
}


def context_of(conversation):
    return {"tools": None, "documents": None, "add_generation_prompt": True,
            "bos_token": "<|bos|>", "eos_token": "<|eos|>", **conversation}


def main():
    folder = pathlib.Path(sys.argv[1])
    cases = []
    for path in sorted(folder.glob("*.jinja")):
        template = path.read_text(encoding="utf-8")
        for name, conversation in CONVERSATIONS.items():
            context = context_of(conversation)
            case = {"template": path.name, "conversation": name, "context": context}
            text = render(template, context)
            if text is not None:
                case["text"] = text
            cases.append(case)
    (folder / "corpus.json").write_text(json.dumps(cases, ensure_ascii=False), encoding="utf-8")
    rendered = sum("text" in case for case in cases)
    print(f"{len(cases)} cases, of which jinja2 renders {rendered}")


if __name__ == "__main__":
    main()
