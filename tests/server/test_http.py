"""How quantspec serve treats connections: limits, disconnects, keep-alive, slow and large clients."""

import json
import os
import socket
import threading
import time

import server_harness
from server_harness import GREEDY, ServerTest, head


def read_all(made):
    data = b""
    while True:
        try:
            part = made.recv(65536)
        except ConnectionResetError:
            return data
        if not part:
            return data
        data += part


class Http(ServerTest):
    def test_a_connection_is_kept(self):
        connection = self.server.connection()
        for _ in range(3):
            connection.request("GET", "/health")
            self.assertEqual(connection.getresponse().read(), b'{"status":"ok"}')
        body = json.dumps({"messages": [{"role": "user", "content": "x"}], "max_tokens": 2,
                           "stream": True})
        for _ in range(2):
            connection.request("POST", "/v1/chat/completions", body)
            self.assertTrue(connection.getresponse().read().endswith(b"data: [DONE]\n\n"))
        connection.close()

    def test_requests_may_be_sent_ahead(self):
        with self.server.socket() as made:
            made.sendall(head("GET", "/health") * 2 + head("GET", "/health", None,
                                                           "Connection: close"))
            self.assertEqual(read_all(made).count(b'{"status":"ok"}'), 3)

    def test_http_1_0_gets_no_chunks(self):
        body = json.dumps({"prompt": "x", "max_tokens": 2, "stream": True, **GREEDY}).encode()
        with self.server.socket() as made:
            made.sendall(head("POST", "/v1/completions", len(body)).replace(b"/1.1", b"/1.0") + body)
            answer = read_all(made)
        self.assertNotIn(b"chunked", answer)
        self.assertTrue(answer.endswith(b"data: [DONE]\n\n"), answer)

    def test_expect_is_answered_before_the_body(self):
        body = b'{"content": "x"}'
        with self.server.socket() as made:
            made.sendall(head("POST", "/tokenize", len(body), "Expect: 100-continue",
                              "Connection: close"))
            self.assertEqual(made.recv(4096), b"HTTP/1.1 100 Continue\r\n\r\n")
            made.sendall(body)
            self.assertIn(b" 200 OK", read_all(made))

    def test_a_huge_body_is_refused_before_it_is_sent(self):
        with self.server.socket() as made:
            made.sendall(head("POST", "/v1/chat/completions", 10 * 1024**3))
            try:
                for _ in range(100):
                    made.sendall(b"x" * 65536)
            except OSError:
                pass
            self.assertIn(b" 413 ", read_all(made)[:20])

    def test_a_huge_body_in_chunks_is_cut(self):
        with self.server.socket() as made:
            made.sendall(head("POST", "/v1/chat/completions", None, "Transfer-Encoding: chunked"))
            try:
                for _ in range(2000):
                    made.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            except OSError:
                pass
            self.assertIn(b" 413 ", read_all(made)[:20])

    def test_a_long_header_is_refused(self):
        with self.server.socket() as made:
            made.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200000)
            self.assertIn(b" 431 ", read_all(made)[:20])

    def test_what_is_no_http_is_refused(self):
        for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"NONSENSE\r\n\r\n",
                     head("POST", "/tokenize", 5).replace(b"\r\n\r\n", b"\r\nContent-Length: 6"
                                                                        b"\r\n\r\nabcde")):
            with self.server.socket() as made:
                made.sendall(data)
                made.shutdown(socket.SHUT_WR)
                answer = read_all(made)
                self.assertTrue(answer == b"" or b" 400 " in answer[:20], answer)
        self.assertEqual(self.server.get("/health")[0], 200)

    def test_slow_headers_are_closed_and_others_served(self):
        sockets = [self.server.socket() for _ in range(100)]
        for made in sockets:
            made.sendall(b"GET /health HTTP/1.1\r\nX: ")
        start = time.monotonic()
        self.assertEqual(self.server.get("/health")[0], 200)
        self.assertLess(time.monotonic() - start, 5)
        while time.monotonic() - start < 15:
            time.sleep(0.5)
            for made in sockets:
                try:
                    made.send(b"y")
                except OSError:
                    pass
            if time.monotonic() - start > 11.5:
                break
        for made in sockets:
            made.settimeout(5)
            self.assertEqual(read_all(made), b"")
            made.close()


class Disconnects(ServerTest):
    arguments = ("--sequences", "4")

    def check_idle_soon(self):
        seconds = self.server.wait_until(self.server.is_idle)
        self.assertLess(seconds, 5)

    def test_a_closed_stream_is_cancelled(self):
        before = self.server.metric("quantspec:requests_cancelled_total")
        for _ in range(5):
            with self.server.open_stream(n=8, max_tokens=1900):
                pass
        self.check_idle_soon()
        self.assertGreater(self.server.metric("quantspec:requests_cancelled_total"), before)

    def test_a_closed_plain_request_is_cancelled(self):
        body = json.dumps({"prompt": "x", "n": 16, "max_tokens": 1900, **GREEDY}).encode()
        before = self.server.metric("quantspec:requests_cancelled_total")
        for _ in range(5):
            with self.server.socket() as made:
                made.sendall(head("POST", "/v1/completions", len(body)) + body)
                time.sleep(0.05)
        self.check_idle_soon()
        self.assertGreater(self.server.metric("quantspec:requests_cancelled_total"), before)

    def test_what_waits_in_the_queue_is_purged(self):
        with self.server.open_stream(n=8, max_tokens=1900):
            for _ in range(4):
                with self.server.open_stream(max_tokens=1900):
                    pass
            self.server.wait_until(lambda: len(self.server.get("/slots")[1]) <= 8)
        self.check_idle_soon()

    def test_a_reset_is_a_disconnect(self):
        with self.server.open_stream(n=8, max_tokens=1900) as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.check_idle_soon()

    def test_descriptors_do_not_grow(self):
        folder = f"/proc/{self.server.process.pid}/fd"
        count = lambda: len(os.listdir(folder))
        self.server.chat(max_tokens=1)
        before = count()
        for _ in range(30):
            with self.server.open_stream(max_tokens=50):
                pass
            self.server.chat(max_tokens=1)
        self.server.wait_until(lambda: count() <= before + 2)


class Queue(ServerTest):
    arguments = ("--sequences", "1", "--max-queue", "2")

    def test_what_exceeds_the_queue_gets_503_and_the_rest_completes(self):
        statuses = []
        lock = threading.Lock()

        def ask():
            status, headers, body = self.server.request(
                "POST", "/v1/completions", {"prompt": "x", "max_tokens": 1500, **GREEDY},
                limit_s=60)
            with lock:
                statuses.append((status, headers.get("Retry-After"), body))
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [s for s in statuses if s[0] == 503]
        self.assertEqual({s[0] for s in statuses}, {200, 503})
        for _, retry, body in refused:
            self.assertEqual(retry, "1")
            self.assertEqual(json.loads(body)["error"]["code"], "queue_full")

    def test_a_full_queue_refuses_before_it_reads(self):
        def ask_a_full_one():
            with self.server.open_stream(max_tokens=1900):
                self.server.wait_until(  # it has left the queue, or is over
                    lambda: self.server.metric("vllm:num_requests_waiting") == 0)
                with self.server.open_stream(n=2, max_tokens=1900):
                    answer = self.server.post("/v1/completions", "no JSON")
            self.server.wait_until(self.server.is_idle)
            return answer
        # The tiny model may have finished the first answer before the question comes.
        answers = (ask_a_full_one() for _ in range(20))
        answer = next((one for one in answers if one[0] != 400), (None, None))
        self.assert_error(answer, 503, "queue_full")
        self.assert_error(self.server.post("/v1/completions", "no JSON"), 400)

    def test_health_answers_meanwhile(self):
        with self.server.open_stream(max_tokens=1900):
            for _ in range(20):
                start = time.monotonic()
                self.assertEqual(self.server.get("/health")[0], 200)
                self.assertLess(time.monotonic() - start, 2)


class Connections(ServerTest):
    arguments = ("--max-connections", "5")

    def test_too_many_connections_get_503(self):
        held = [self.server.socket() for _ in range(5)]
        try:
            self.server.wait_until(lambda: self.is_refused())
        finally:
            for made in held:
                made.close()
        self.server.wait_until(lambda: not self.is_refused())

    def is_refused(self):
        with self.server.socket() as made:
            made.sendall(head("GET", "/health", None, "Connection: close"))
            return b" 503 " in read_all(made)[:20]


if __name__ == "__main__":
    server_harness.main()
