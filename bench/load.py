"""Load an HTTP server: `python -m bench.load HOST PORT PATH BODIES CONNECTIONS SECONDS`.

Prints JSON. BODIES is a file of JSON lines, which are sent in turn over connections that stay open;
each connection sends its next request when it has its answer. The client is one process and does as
little as possible, so that it does not slow down the server: it reads only the status and the
length of an answer.
"""

import asyncio
import json
import sys
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import uvloop

WARM_UP = 0.2  # share of the seconds, at the start, that is not counted


class Connection(asyncio.Protocol):
    """Connection that sends one request after the other until the time is over."""

    def __init__(self, requests, until, took):
        self.requests, self.until, self.took = requests, until, took
        self.done = asyncio.get_running_loop().create_future()
        self.left, self.head = 0, b""

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        if time.perf_counter() >= self.until:
            self.transport.close()
            self.done.set_result(None)
            return
        self.left, self.head = -1, b""
        self.sent = time.perf_counter()
        self.transport.write(next(self.requests))

    def data_received(self, data):
        if self.left < 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.head[:end].lower()
            if b" 200 " not in head[:16]:
                raise RuntimeError(self.head.decode())
            place = head.index(b"content-length:") + 15
            self.left = int(head[place:].split(b"\r\n", 1)[0]) - (len(self.head) - end - 4)
        else:
            self.left -= len(data)
        if self.left == 0:
            self.took.append((self.sent, time.perf_counter()))
            self.send()

    def connection_lost(self, error):
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


def request(host, port, path, body, headers=""):
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def load(host, port, requests, connections, seconds):
    took = []
    start = time.perf_counter()
    pool, loop = cycle(requests), asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(pool, start + seconds, took), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    return report(took, start + seconds * WARM_UP)


def report(took, since):
    """Return the seconds per request under load, and percentiles of the time to an answer."""
    sent, got = np.array(took).T
    counted = sent >= since
    waited = got[counted] - sent[counted]
    return {
        "requests": int(counted.sum()),
        "seconds_each": float((got[counted].max() - since) / counted.sum()),
        "p50_s": float(np.percentile(waited, 50)),
        "p99_s": float(np.percentile(waited, 99)),
    }


def main(host, port, path, bodies, connections, seconds):
    lines = Path(bodies).read_bytes().splitlines()
    requests = [request(host, port, path, line) for line in lines]
    print(json.dumps(uvloop.run(load(host, int(port), requests, int(connections), float(seconds)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
