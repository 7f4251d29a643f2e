#!/usr/bin/env python3
"""quantspec serve beside llama.cpp's server: the same requests, a Markdown table.

    bench/peers/servers.py --model MODEL.gguf --text BOOK.txt --quantspec build/release/quantspec \\
        --llama-server PATH [--tokens 128] [--words 5200] [--users 1,4] [--repeat 3]

Each user asks two questions about a document of its own: the first reads it, the second finds it
read. Times are medians over users and repeats of fresh servers; memory is the peak resident set.
llama.cpp keeps keys and values in 8 bits (q8_0), as quantspec does.
"""

import argparse
import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import threading
import time

START_S = 120
LIMIT_S = 1800
CONTEXT = 8192
QUESTIONS = ("What happens here?", "Who speaks here, and of what?")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--quantspec", required=True)
    parser.add_argument("--llama-server", required=True)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--words", type=int, default=5200, help="of a document")
    parser.add_argument("--users", default="1,4")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


class Running:
    """A server's process."""

    def __init__(self, command, port):
        self.port = port
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        while not self.is_healthy():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.1)

    def is_healthy(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def peak_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1000

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def ask(port, document, question, tokens):
    """Seconds from the question to the first token and to the last, and how many came."""
    body = {"messages": [{"role": "user", "content": f"{document}\n\n{question}"}],
            "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True,
            "stream_options": {"include_usage": True}}
    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    connection.request("POST", "/v1/chat/completions", json.dumps(body),
                       {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{response.status}: {response.read()[:400]}")
    first = last = usage = None
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        usage = event.get("usage") or usage
        if event["choices"] and event["choices"][0]["delta"].get("content"):
            last = time.monotonic()
            first = first or last
    connection.close()
    return {"first_s": first - start, "last_s": last - start, "begin": first, "end": last,
            "generated": usage["completion_tokens"], "prompt": usage["prompt_tokens"]}


def ask_together(port, documents, question, tokens):
    answers = [None] * len(documents)

    def run(i):
        answers[i] = ask(port, documents[i], question, tokens)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(documents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if None in answers:
        raise SystemExit("a request failed")
    return answers


def measure(command_of, documents, options):
    """[question] -> {first_s, tokens_per_s, last_s}, and the peak memory."""
    port = free_port()
    found = []
    with Running(command_of(port, len(documents)), port) as server:
        for question in QUESTIONS:
            answers = ask_together(port, documents, question, options.tokens)
            generated = sum(a["generated"] for a in answers)
            decoding = max(a["end"] for a in answers) - min(a["begin"] for a in answers)
            found.append({"prompt": answers[0]["prompt"],
                          "first_s": statistics.median(a["first_s"] for a in answers),
                          "last_s": max(a["last_s"] for a in answers),
                          "tokens_per_s": generated / decoding})
        return found, server.peak_mb()


def main():
    options = arguments()
    words = pathlib.Path(options.text).read_text(encoding="utf-8").split()

    def quantspec(port, users):
        return [options.quantspec, "serve", "--model", options.model, "--port", str(port),
                "--threads", str(options.threads), "--context", str(CONTEXT),
                "--cache-tokens", str(users * CONTEXT), "--log", "none"]

    def llama(port, users):
        return [options.llama_server, "--model", options.model, "--port", str(port),
                "--threads", str(options.threads), "--ctx-size", str(users * CONTEXT),
                "--parallel", str(users), "--cache-type-k", "q8_0", "--cache-type-v", "q8_0",
                "--flash-attn", "on", "--no-webui"]

    print("| users | server | first token (s) | all answers (s) | tokens/s while they are written "
          "| first token, document known (s) | all answers (s) | tokens/s | peak memory (MB) |")
    print("|---|---|---|---|---|---|---|---|---|")
    for users in map(int, options.users.split(",")):
        documents = [" ".join(words[i * options.words:(i + 1) * options.words])
                     for i in range(users)]
        runs = {"quantspec": [], "llama.cpp": []}
        for _ in range(options.repeat):
            runs["quantspec"].append(measure(quantspec, documents, options))
            runs["llama.cpp"].append(measure(llama, documents, options))
        for name, measured in runs.items():
            row = [str(users), name]
            for question in range(len(QUESTIONS)):
                for field, form in (("first_s", ".2f"), ("last_s", ".1f"),
                                    ("tokens_per_s", ".1f")):
                    row.append(format(statistics.median(
                        found[question][field] for found, _ in measured), form))
            row.append(f"{statistics.median(peak for _, peak in measured):.0f}")
            print("| " + " | ".join(row) + " |", flush=True)
        print(f"<!-- {users} users: prompts of about {measured[0][0][0]['prompt']} tokens -->")


if __name__ == "__main__":
    main()
