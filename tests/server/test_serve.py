"""How quantspec serve starts and ends, and whom it serves: drain, keys, Host and Origin."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import server_harness
from server_harness import GREEDY, MODEL, PROGRAM, Server, ServerTest, parse_events


def serve(*arguments):
    return subprocess.run([PROGRAM, "serve", *map(str, arguments)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)


class Start(unittest.TestCase):
    def test_wrong_usage_ends_with_2(self):
        for arguments in ((), ("--model", MODEL, "--port", "99999"), ("--model", MODEL, "--prot", 1)):
            self.assertEqual(serve(*arguments).returncode, 2, arguments)

    def test_a_taken_port_is_told(self):
        with Server() as server:
            done = serve("--model", MODEL, "--port", server.port)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot listen on 127.0.0.1", done.stderr)

    def test_a_wrong_host_is_told(self):
        done = serve("--model", MODEL, "--host", "no.such.host.invalid")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--host", done.stderr)

    def test_a_key_file_of_everybody_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "keys"
            path.write_text("secret\n")
            path.chmod(0o644)
            done = serve("--model", MODEL, "--api-key-file", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("chmod 600", done.stderr)

    def test_a_unix_socket_serves_and_goes(self):
        with Server(unix=True) as server:
            path = server.path
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o700 & os.stat(path).st_mode)
            self.assertEqual(os.stat(path).st_mode & 0o077, 0)
            self.assertEqual(server.get("/health")[0], 200)
            self.assertEqual(server.chat(max_tokens=3)[0], 200)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(60), 0)
            self.assertFalse(os.path.exists(path))

    def test_the_socket_of_a_killed_server_is_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            path = str(pathlib.Path(folder) / "socket")
            with Server(unix=path) as first:
                first.process.kill()
                first.process.wait()
            self.assertTrue(os.path.exists(path))
            with Server(unix=path) as second:
                self.assertEqual(second.get("/health")[0], 200)


class Drain(unittest.TestCase):
    def test_streams_end_and_new_requests_are_refused(self):
        with Server("--sequences", "2") as server:
            with server.open_stream(n=2, max_tokens=1900, temperature=1, seed=1) as made:
                server.process.send_signal(signal.SIGTERM)
                server.wait_until(lambda: "draining" in str(self.try_health(server)))
                data = b""
                while part := made.recv(65536):
                    data += part
            self.assertIn(b"data: [DONE]", data)
            self.assertEqual(server.process.wait(60), 0)

    @staticmethod
    def try_health(server):
        try:
            status, body = server.get("/health")
            if status == 503:
                assert server.chat(max_tokens=1)[0] == 503
            return body
        except (ConnectionError, OSError):
            return "draining: gone already"

    def test_an_idle_server_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Server() as server:
                with server.socket():  # an idle connection does not hold it
                    start = time.monotonic()
                    server.process.send_signal(number)
                    self.assertEqual(server.process.wait(30), 0)
                    self.assertLess(time.monotonic() - start, 10)

    def test_a_second_signal_ends_it_at_once(self):
        with Server("--sequences", "1") as server:
            with server.open_stream(n=16, max_tokens=1900):
                server.process.send_signal(signal.SIGTERM)
                time.sleep(0.1)
                server.process.send_signal(signal.SIGTERM)
                self.assertEqual(server.process.wait(30), 0)


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(cls.folder.name) / "keys"
        path.touch(0o600)
        path.write_text("alpha\nbeta\n")
        cls.server = Server("--api-key-file", path)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def test_a_key_opens_the_api(self):
        for headers, expected in (({}, 401), ({"Authorization": "Bearer alpha"}, 200),
                                  ({"x-api-key": "beta"}, 200), ({"x-api-key": "gamma"}, 401),
                                  ({"Authorization": "Bearer alph"}, 401)):
            status, _, body = self.server.request("GET", "/v1/models", headers=headers)
            self.assertEqual(status, expected, (headers, body))

    def test_health_and_the_page_need_none(self):
        self.assertEqual(self.server.request("GET", "/health")[0], 200)
        self.assertEqual(self.server.request("GET", "/")[0], 200)
        self.assertEqual(self.server.request("GET", "/metrics")[0], 401)

    def test_paths_are_not_told_without_a_key(self):
        self.assertEqual(self.server.request("GET", "/none")[0], 401)

    def test_prompts_are_not_shared_between_keys(self):
        prompt = {"messages": [{"role": "user", "content": "a document " * 80}], "max_tokens": 1}

        def cached(key):
            _, body = self.server.post("/v1/chat/completions", prompt, headers={"x-api-key": key})
            return body["usage"]["prompt_tokens_details"]["cached_tokens"]
        self.assertEqual(cached("alpha"), 0)
        self.assertGreater(cached("alpha"), 0)
        self.assertEqual(cached("beta"), 0)


class Reuse(ServerTest):
    arguments = ("--reuse", "all")

    def cached_by_turn(self, server):
        """What each turn of a conversation found, and what the turns before had read or said."""
        letters = server.post("/tokenize", {"content": "abcdef"})[1]["tokens"]
        messages, cached, known = [], [], [0]
        for turn in range(3):
            messages.append({"role": "user", "content": f"question {turn} " * 20})
            _, body = server.post("/v1/chat/completions", {
                "messages": messages, **GREEDY, "max_tokens": 300,
                # Text of which the same tokens are made again.
                "logit_bias": {str(letter): 100 for letter in letters}})
            usage = body["usage"]
            cached.append(usage["prompt_tokens_details"]["cached_tokens"])
            known.append(usage["prompt_tokens"] + usage["completion_tokens"] - 1)
            messages.append(body["choices"][0]["message"])
        return cached, known[:-1]

    def test_the_next_turn_does_not_read_the_answer_again(self):
        self.assertEqual(self.server.get("/props")[1]["reuse"], "all")
        cached, known = self.cached_by_turn(self.server)
        self.assertEqual(cached, [tokens // 256 * 256 for tokens in known])

    def test_by_default_an_answer_is_read_again_as_a_prompt(self):
        with Server() as server:
            self.assertEqual(server.get("/props")[1]["reuse"], "prompts")
            cached, known = self.cached_by_turn(server)
        self.assertLess(cached[2], known[2] // 256 * 256)

    def test_other_kinds_are_refused(self):
        done = serve("--model", MODEL, "--reuse", "some")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--reuse: found 'some', expected prompts or all", done.stderr)


class Origins(ServerTest):
    arguments = ("--allow-host", "models.example", "--allow-origin", "https://chat.example")

    def status(self, host="localhost", origin=None, method="GET"):
        headers = {"Host": host}
        if origin:
            headers["Origin"] = origin
        status, answer, _ = self.server.request(method, "/v1/models", headers=headers)
        return status, answer.get("Access-Control-Allow-Origin")

    def test_foreign_hosts_are_refused(self):
        self.assertEqual(self.status("evil.example")[0], 403)
        self.assertEqual(self.status("models.example")[0], 200)
        self.assertEqual(self.status("127.0.0.1:1234")[0], 200)

    def test_foreign_origins_are_refused(self):
        self.assertEqual(self.status(origin="http://evil.example"), (403, None))
        self.assertEqual(self.status(origin="null"), (403, None))
        self.assertEqual(self.status("localhost:7", "http://localhost:7"), (200, None))

    def test_an_allowed_origin_may_read(self):
        self.assertEqual(self.status(origin="https://chat.example"), (200, "https://chat.example"))
        self.assertEqual(self.status(origin="https://chat.example", method="OPTIONS"),
                         (204, "https://chat.example"))


class Logs(unittest.TestCase):
    def test_prompts_are_logged_only_if_asked_for(self):
        for kind, expected in (("requests", False), ("bodies", True), ("none", False)):
            with Server("--log", kind) as server:
                server.chat("a secret word", max_tokens=2)
                server.stop()
                self.assertEqual("a secret word" in server.log(), expected, kind)
                self.assertEqual("generated 2" in server.log(), kind != "none", kind)


if __name__ == "__main__":
    server_harness.main()
