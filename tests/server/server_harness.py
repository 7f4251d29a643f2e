"""Runs `quantspec serve` with a tiny model and talks to it; shared by the tests beside it.

QUANTSPEC_EXECUTABLE names the program.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = os.environ.get("QUANTSPEC_EXECUTABLE", "")
MODEL = pathlib.Path(__file__).resolve().parent.parent / "golden" / "models" / "llama-long.gguf"
CONTEXT = 2048  # of that model
TEMPLATE = ("{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}")
START_S = 60  # generous, for sanitized builds
GREEDY = {"temperature": 0, "ignore_eos": True}


class Server:
    """A running server. Use with `with`; ends it with SIGTERM."""

    def __init__(self, *arguments, unix=None, model=MODEL, template=True):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        command = [PROGRAM, "serve", "--model", str(model), "--threads", "2"]
        if template:
            (folder / "template").write_text(TEMPLATE)
            command += ["--chat-template", str(folder / "template")]
        # `unix`: a path, or True for one that goes with the server.
        self.path = str(folder / "socket") if unix is True else unix or None
        command += ["--unix", self.path] if unix else ["--port", "0"]
        self.process = subprocess.Popen([*command, *map(str, arguments)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        line = self.wait_for_line("listening on ")
        self.port = None if unix else int(line.rsplit(":", 1)[1])

    def read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)
            self.changed.notify_all()

    def wait_for_line(self, text, limit_s=START_S):
        def find():
            return next((l for l in self.lines if l is None or text in l), "")
        with self.changed:
            self.changed.wait_for(lambda: find() != "", limit_s)
            line = find()
        if not line:
            raise AssertionError(f"no line with {text!r} among {self.lines}")
        return line

    def log(self):
        with self.changed:
            return "\n".join(l for l in self.lines if l is not None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, limit_s=60):
        """The exit code after SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.reader.join()
        self.process.stderr.close()
        self.folder.cleanup()
        return code

    # ---- requests

    def socket(self, limit_s=30):
        if self.path:
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(limit_s)
            made.connect(self.path)
            return made
        return socket.create_connection(("127.0.0.1", self.port), limit_s)

    def connection(self, limit_s=30):
        made = http.client.HTTPConnection("127.0.0.1", self.port or 80, timeout=limit_s)
        made.sock = self.socket(limit_s)
        return made

    def request(self, method, path, body=None, headers=None, limit_s=30):
        """(status, headers, body) of one exchange; a body that is no text is sent as JSON."""
        connection = self.connection(limit_s)
        try:
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path, **options):
        status, _, body = self.request("GET", path, **options)
        return status, json.loads(body)

    def post(self, path, body, **options):
        status, _, answer = self.request("POST", path, body, **options)
        return status, json.loads(answer)

    def chat(self, text="Hello", **more):
        return self.post("/v1/chat/completions",
                         {"messages": [{"role": "user", "content": text}], **GREEDY, **more})

    def events(self, path, body, headers=None):
        """The data of a stream's events, decoded, [DONE] as text; comments are left out."""
        connection = self.connection()
        try:
            connection.request("POST", path, json.dumps({**body, "stream": True}), headers or {})
            response = connection.getresponse()
            if response.status != 200:
                raise AssertionError((response.status, response.read()))
            assert response.headers["Content-Type"] == "text/event-stream"
            return parse_events(response.read())
        finally:
            connection.close()

    def chat_events(self, text="Hello", **more):
        return self.events("/v1/chat/completions",
                           {"messages": [{"role": "user", "content": text}], **GREEDY, **more})

    @contextlib.contextmanager
    def open_stream(self, **more):
        """The socket of a long stream of which the head was read."""
        body = json.dumps({"messages": [{"role": "user", "content": "Hello"}], **GREEDY,
                           "stream": True, **more}).encode()
        with self.socket() as made:
            made.sendall(head("POST", "/v1/chat/completions", len(body)) + body)
            text = b""
            while b"\r\n\r\n" not in text:
                part = made.recv(4096)
                if not part:
                    raise AssertionError(text)
                text += part
            yield made

    def metric(self, name):
        """The sum of a metric's values over its labels."""
        _, _, body = self.request("GET", "/metrics")
        values = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", body.decode(), re.M)
        return sum(map(float, values))

    def wait_until(self, condition, limit_s=20):
        """The seconds until condition() was true."""
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > limit_s:
                raise AssertionError("it did not come to pass")
            time.sleep(0.005)
        return time.monotonic() - start

    def is_idle(self):
        return self.get("/slots")[1] == [] and self.metric("vllm:num_requests_running") == 0


def head(method, path, length=None, *lines):
    rows = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if length is not None:
        rows.append(f"Content-Length: {length}")
    return "\r\n".join([*rows, *lines, "", ""]).encode()


def parse_events(data):
    events = []
    for event in data.decode().split("\n\n"):
        if not event or event.startswith(":"):
            continue
        assert event.startswith("data: "), event
        text = event[6:]
        events.append(text if text == "[DONE]" else json.loads(text))
    return events


def text_of(events):
    """The text of the first choice of a chat's events."""
    return "".join(e["choices"][0]["delta"].get("content", "") for e in events
                   if e != "[DONE]" and e["choices"] and e["choices"][0]["index"] == 0)


class ServerTest(unittest.TestCase):
    """Tests that share one server, started with `arguments`."""

    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.arguments)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        if code != 0:
            raise AssertionError(f"the server ended with {code}: {cls.server.log()}")

    def assert_error(self, answer, status, code=None, *words):
        found, body = answer
        self.assertEqual(found, status, body)
        error = body["error"]
        for field in ("message", "type", "param", "code"):
            self.assertIn(field, error)
        if code is not None:
            self.assertEqual(error["code"], code, error)
        for word in words:
            self.assertIn(word, error["message"])


def main():
    if not PROGRAM:
        sys.exit("QUANTSPEC_EXECUTABLE is not set")
    unittest.main(verbosity=2)
