"""Figures of quantspec serve for docs/results.md, by hand:

    QUANTSPEC_EXECUTABLE=build/release/quantspec python3 tests/server/measure.py MODEL [STREAMS]

Idle streams: what each takes of memory and of the I/O thread, and how long /health takes while a
long prompt is read. Disconnects: the seconds until all places are free again. Ten times as many
requests as the queue holds: how soon the excess is refused. Clients that are slow, that announce or
send too much, or that come from elsewhere: what they get, and when.
"""

import json
import pathlib
import selectors
import sys
import threading
import time

from server_harness import GREEDY, Server, head


LIMIT_S = 600


def resident_mb(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def io_seconds(server):
    """CPU time of the I/O thread."""
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "server-io":
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / 100
    raise AssertionError("there is no such thread")


def open_streams(server, count, text):
    body = json.dumps({"messages": [{"role": "user", "content": text}], "stream": True,
                       "max_tokens": 2000, **GREEDY}).encode()
    sockets = []
    for _ in range(count):
        made = server.socket()
        made.sendall(head("POST", "/v1/chat/completions", len(body)) + body)
        sockets.append(made)
    for made in sockets:
        made.recv(4096)
    return sockets


def health_times(server, seconds):
    times = []
    end = time.monotonic() + seconds
    connection = server.connection()
    while time.monotonic() < end:
        start = time.monotonic()
        connection.request("GET", "/health")
        connection.getresponse().read()
        times.append(time.monotonic() - start)
        time.sleep(0.005)
    connection.close()
    return sorted(times)


def milliseconds(times):
    times = sorted(times)
    return (f"p50 {1000 * times[len(times) // 2]:.1f} ms, p99 "
            f"{1000 * times[len(times) * 99 // 100]:.1f} ms")


def measure_idle(model, count):
    with Server("--sequences", 1, "--max-queue", 5000, "--log", "none", model=model,
                template=False) as server:
        busy = open_streams(server, 1, "Count to a thousand.")  # one decodes, the others wait
        time.sleep(3)  # it has taken its own memory
        before = resident_mb(server)
        sockets = open_streams(server, count, "Hello")
        time.sleep(1)
        grown = resident_mb(server) - before
        start, cpu = time.monotonic(), io_seconds(server)
        time.sleep(10)
        share = (io_seconds(server) - cpu) / (time.monotonic() - start)
        print(f"{count} idle streams: {grown:.1f} MB more, {100 * share:.1f} % of a core")
        start = time.monotonic()
        for made in sockets + busy:
            made.close()
        server.wait_until(server.is_idle)
        print(f"{count} disconnects: all gone after {time.monotonic() - start:.3f} s")


def measure_health(model):
    with Server("--log", "none", model=model, template=False) as server:
        text = "The sea is wide and the wind is fair today. " * 640
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 1, **GREEDY}
        thread = threading.Thread(
            target=lambda: server.post("/v1/chat/completions", body, limit_s=LIMIT_S))
        idle = health_times(server, 2)
        thread.start()
        times = []
        while thread.is_alive():
            times += health_times(server, 0.2)
        print(f"/health during a prompt: {milliseconds(times)} ({len(times)} asked; idle "
              f"{milliseconds(idle)})")


def measure_cancelled_prompt(model):
    with Server("--log", "none", model=model, template=False) as server:
        text = "The sea is wide and the wind is fair today. " * 640
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 4, **GREEDY}
        data = json.dumps(body).encode()
        with server.socket() as made:
            made.sendall(head("POST", "/v1/chat/completions", len(data)) + data)

            def done():
                slots = server.get("/slots")[1]
                return slots and slots[0]["n_prompt_tokens_processed"] >= (
                    0.8 * slots[0]["n_prompt_tokens"])
            server.wait_until(done, LIMIT_S)
        start = time.monotonic()
        server.wait_until(server.is_idle)
        seconds = time.monotonic() - start
        usage = server.post("/v1/chat/completions", body, limit_s=LIMIT_S)[1]["usage"]
        print(f"a prompt cancelled at 80 %: gone after {seconds:.3f} s; asked again, "
              f"{usage['prompt_tokens_details']['cached_tokens']} of {usage['prompt_tokens']} "
              "tokens were stored")


def read_until_closed(sockets):
    """(bytes, moment of the last of them) of each."""
    waiting = selectors.DefaultSelector()
    found = {made: (b"", 0) for made in sockets}
    for made in sockets:
        waiting.register(made, selectors.EVENT_READ)
    while waiting.get_map():
        for key, _ in waiting.select(LIMIT_S):
            data = key.fileobj.recv(65536)
            found[key.fileobj] = (found[key.fileobj][0] + data, time.monotonic())
            if not data:
                waiting.unregister(key.fileobj)
                key.fileobj.close()
    return [found[made] for made in sockets]


def measure_queue(model, queue=32, sequences=8):
    with Server("--sequences", sequences, "--max-queue", queue, "--log", "none", model=model,
                template=False) as server:
        body = json.dumps({"messages": [{"role": "user", "content": "Count to a thousand."}],
                           "max_tokens": 64, **GREEDY}).encode()
        data = head("POST", "/v1/chat/completions", len(body), "Connection: close") + body
        sockets = [server.socket() for _ in range(10 * queue)]
        starts = []
        for made in sockets:
            starts.append(time.monotonic())
            made.sendall(data)
        answers = read_until_closed(sockets)
        refused = [end - start for (text, end), start in zip(answers, starts)
                   if text.startswith(b"HTTP/1.1 503 ") and b"queue_full" in text]
        served = sum(text.startswith(b"HTTP/1.1 200 ") and b'"completion_tokens":64' in text
                     for text, _ in answers)
        print(f"{10 * queue} requests for a queue of {queue}: {served} served, {len(refused)} got "
              f"503, {milliseconds(refused)}; {10 * queue - served - len(refused)} others")


def measure_slow_clients(model, count=500):
    with Server("--log", "none", model=model, template=False) as server:
        sockets = [server.socket(60) for _ in range(count)]
        start = time.monotonic()
        for made in sockets:
            made.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX: ")
        ends = []
        thread = threading.Thread(
            target=lambda: ends.extend(end - start for _, end in read_until_closed(sockets)))
        thread.start()
        times = health_times(server, 8)
        thread.join()
        print(f"{count} clients that never end their header: closed after {min(ends):.1f} to "
              f"{max(ends):.1f} s; /health meanwhile: {milliseconds(times)}")


def measure_refusals(model):
    deep = b'{"messages":' + b"[" * 100000
    cases = {
        "10 GB announced": head("POST", "/v1/chat/completions", 10 * 1024**3),
        "JSON 100,000 deep": head("POST", "/v1/chat/completions", len(deep)) + deep,
        "another site's Host": head("GET", "/v1/models").replace(b"localhost", b"evil.example"),
        "another site's Origin": head("GET", "/v1/models", None, "Origin: http://evil.example")}
    with Server("--log", "none", model=model, template=False) as server:
        for name, data in cases.items():
            with server.socket() as made:
                start = time.monotonic()
                made.sendall(data)
                answer = made.recv(65536)
                print(f"{name}: {answer[9:12].decode()} after "
                      f"{1000 * (time.monotonic() - start):.1f} ms")


def main():
    model = sys.argv[1]
    measure_queue(model)
    measure_slow_clients(model)
    measure_refusals(model)
    measure_idle(model, int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
    measure_health(model)
    measure_cancelled_prompt(model)


if __name__ == "__main__":
    main()
