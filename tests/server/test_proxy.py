"""Two workers behind HAProxy, as docs/deployment.md has them; skipped without HAProxy."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import unittest

import server_harness
from server_harness import GREEDY, Server

CONFIG = pathlib.Path(__file__).resolve().parents[2] / "examples" / "deploy" / "haproxy.cfg"
PATH = os.environ.get("PATH", "") + ":/usr/sbin"


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


class Proxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.workers = [Server(), Server()]
        cls.port = free_port()
        cls.proxy = subprocess.Popen(
            [shutil.which("haproxy", path=PATH), "-db", "-f", str(CONFIG)],
            env={**os.environ, "QS_PROXY_BIND": f"127.0.0.1:{cls.port}",
                 "QS_WORKER_ONE": f"127.0.0.1:{cls.workers[0].port}",
                 "QS_WORKER_TWO": f"127.0.0.1:{cls.workers[1].port}"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.front = Server.__new__(Server)  # the same requests, at the proxy's port
        cls.front.path, cls.front.port = None, cls.port
        end = time.monotonic() + 30
        while True:
            try:
                if cls.front.get("/health")[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > end:
                raise AssertionError("HAProxy does not answer")
            time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        cls.proxy.terminate()
        cls.proxy.wait(30)
        for worker in cls.workers:
            worker.stop()

    def ask(self, text, headers=None, **more):
        """(worker, cached tokens) of a request."""
        status, answer, body = self.front.request(
            "POST", "/v1/chat/completions",
            {"messages": [{"role": "user", "content": text}], "max_tokens": 2, **GREEDY, **more},
            headers=headers)
        self.assertEqual(status, 200, body)
        usage = json.loads(body)["usage"]
        return answer["x-worker"], usage["prompt_tokens_details"]["cached_tokens"]

    def test_sessions_stay_whole_and_are_spread(self):
        used = set()
        for session in range(12):
            text = f"document {session} " * 50
            for how in ({"headers": {"x-session-id": f"s{session}"}},
                        {"prompt_cache_key": f"k{session}"}, {}):
                first, _ = self.ask(text, **how)
                again, cached = self.ask(text, **how)
                self.assertEqual(first, again)
                self.assertGreaterEqual(cached, 256)
                used.add(first)
        self.assertEqual(len(used), 2)

    def test_streams_pass(self):
        events = self.front.chat_events(max_tokens=20)
        self.assertEqual(events[-1], "[DONE]")

    def test_a_client_that_goes_away_frees_its_place(self):
        for _ in range(4):
            with self.front.open_stream(n=8, max_tokens=1900):
                pass
        for worker in self.workers:
            worker.wait_until(worker.is_idle)

    def test_when_a_worker_ends_the_others_keep_their_sessions(self):  # the last one to run
        before = {session: self.ask("x", headers={"x-session-id": f"e{session}"})[0]
                  for session in range(12)}
        self.workers[1].stop()
        self.workers[0].wait_until(lambda: self.front.get("/health")[0] == 200)
        time.sleep(3.5)  # until HAProxy has noticed
        after = {session: self.ask("x", headers={"x-session-id": f"e{session}"})[0]
                 for session in range(12)}
        for session, worker in before.items():
            if worker == "one":
                self.assertEqual(after[session], "one")
        self.assertEqual(set(after.values()), {"one"})


if __name__ == "__main__":
    if shutil.which("haproxy", path=PATH) is None:
        print("skipped: there is no HAProxy")
        sys.exit(77)
    server_harness.main()
