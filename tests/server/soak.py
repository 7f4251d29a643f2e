"""An hour of mixed load on quantspec serve, by hand:

    QUANTSPEC_EXECUTABLE=build/release/quantspec python3 tests/server/soak.py MODEL BOOK [MINUTES]

Eight clients ask for streams, plain answers and several choices about documents of the book, some
shared and some new; one in ten goes away before its answer is complete. Prints memory and
descriptors each minute, and at the end how much memory grew between the second quarter and the last.
Every answer to a question that was asked before must be the same text.
"""

import json
import pathlib
import random
import statistics
import sys
import tempfile
import threading
import time

from measure import resident_mb
from server_harness import GREEDY, Server, head, parse_events, text_of

CLIENTS = 8
CANCELLED = 0.1
LIMIT_S = 600
POOL_TOKENS = 16384  # filled within minutes


class Load:
    """What the clients ask and what they were told."""

    def __init__(self, server, book):
        self.server = server
        self.words = book.split()
        self.lock = threading.Lock()
        self.answers = {}
        self.counts = {"answers": 0, "repeated": 0, "cancelled": 0}
        self.ends = False

    def question(self, chance):
        length = chance.choice((20, 100, 400, 900))
        # A few places are asked about again and again, others once.
        begin = (chance.randrange(8) * 2000 if chance.random() < 0.7 else
                 chance.randrange(len(self.words) - length))
        text = " ".join(self.words[begin:begin + length])
        return {"messages": [{"role": "user", "content": text + "\nWhat is this about?"}],
                "max_tokens": chance.choice((8, 32, 96)), **GREEDY}

    def ask(self, chance):
        body = self.question(chance)
        kind = chance.random()
        if kind < CANCELLED:
            return self.cancel(body, chance)
        if kind < 0.5:
            events = parse_events(self.raw({**body, "stream": True}))
            text = text_of(events)
        else:
            more = {"n": 2} if kind > 0.9 else {}
            answer = json.loads(self.raw({**body, **more}))
            text = answer["choices"][0]["message"]["content"]
        key = json.dumps(body)
        with self.lock:
            self.counts["answers"] += 1
            self.counts["repeated"] += key in self.answers
            if self.answers.setdefault(key, text) != text:
                raise AssertionError(f"another answer than before: {text!r}")
        return None

    def raw(self, body):
        status, _, data = self.server.request("POST", "/v1/chat/completions", body,
                                              limit_s=LIMIT_S)
        if status != 200:
            raise AssertionError((status, data))
        return data

    def cancel(self, body, chance):
        data = json.dumps({**body, "stream": chance.random() < 0.5}).encode()
        with self.server.socket(LIMIT_S) as made:
            made.sendall(head("POST", "/v1/chat/completions", len(data)) + data)
            time.sleep(3 * chance.random())
        with self.lock:
            self.counts["cancelled"] += 1

    def run(self, seed):
        chance = random.Random(seed)
        while not self.ends:
            self.ask(chance)


def state(server):
    descriptors = pathlib.Path(f"/proc/{server.process.pid}/fd")
    return resident_mb(server), len(list(descriptors.iterdir()))


def main():
    model, book = sys.argv[1], pathlib.Path(sys.argv[2]).read_text(encoding="utf-8")
    minutes = int(sys.argv[3]) if len(sys.argv) > 3 else 60
    failures = []
    with tempfile.TemporaryDirectory() as folder, Server(
            "--cache-tokens", POOL_TOKENS, "--prompt-store", folder, "--prompt-store-bytes",
            500_000_000, "--log", "none", model=model, template=False) as server:
        load = Load(server, book)
        idle = state(server)[1]

        def run(seed):
            try:
                load.run(seed)
            except Exception as error:  # told at the end
                failures.append(error)
                load.ends = True
        threads = [threading.Thread(target=run, args=(seed,)) for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        states = []
        for minute in range(1, minutes + 1):
            for _ in range(60):
                time.sleep(0 if load.ends else 1)
            states.append(state(server))
            print(f"minute {minute}: {states[-1][0]:.1f} MB, {states[-1][1]} descriptors, "
                  f"{load.counts}", flush=True)
            if load.ends:
                break
        load.ends = True
        for thread in threads:
            thread.join()
        server.wait_until(server.is_idle)
        states.append(state(server))
    if failures:
        raise failures[0]
    resident = [megabytes for megabytes, _ in states[:-1]]
    quarter = max(1, len(resident) // 4)  # the first one warms up
    warm = statistics.median(resident[quarter:2 * quarter] or resident)
    last = statistics.median(resident[-quarter:])
    print(f"memory: the last quarter's median is {100 * (last / warm - 1):+.2f} % of the second's "
          f"({warm:.1f} to {last:.1f} MB, at most {max(resident):.1f}); descriptors: {idle} before, "
          f"{states[-1][1]} after; {load.counts}")


if __name__ == "__main__":
    main()
