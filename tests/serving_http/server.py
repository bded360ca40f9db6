"""A real server to ask: an application in a thread, or `headrace serve` in a process."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
KEY = "a-key-that-only-tests-know"
COMMAND = "from headrace.cli import main; main()"


@dataclass
class Client:
    """One connection that is kept open."""

    port: int
    key: str | None = None

    def __post_init__(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method, path, body=None, headers=()):
        """Status, and the body: parsed if it is JSON."""
        sent = {"Content-Type": "application/json", **dict(headers)}
        if self.key:
            sent["Authorization"] = f"Bearer {self.key}"
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self.connection.request(method, path, data, sent)
        answer = self.connection.getresponse()
        text = answer.read()
        self.headers = answer.headers
        as_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if as_json else text.decode()

    def vectors(self, *requests, **more):
        return self.ask("POST", "/v1/vectors", {"requests": list(requests), **more})

    def predictions(self, *requests, **more):
        return self.ask("POST", "/v1/predictions", {"requests": list(requests), **more})

    def ready(self):
        """What /readyz says when nothing is being loaded any more."""
        while True:
            status, told = self.ask("GET", "/readyz")
            if status != 503 or "being loaded" not in told["error"]["what"]:
                return status, told

    def close(self):
        self.connection.close()


@contextmanager
def serving(app, key=None):
    """A client of `app`, which runs in a thread of this process."""
    import uvicorn

    quiet = {"log_level": "warning", "access_log": False}
    # A busy machine may leave a connection idle for longer than the server would keep it.
    config = uvicorn.Config(app, host="127.0.0.1", port=0, timeout_keep_alive=600, **quiet)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait(lambda: server.started or not thread.is_alive())
    assert server.started
    client = Client(server.servers[0].sockets[0].getsockname()[1], key)
    try:
        yield client
    finally:
        client.close()
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


@contextmanager
def command(project, home, *options, **environment):
    """(process, port) of `headrace serve` in a folder; killed in the end if it still runs."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE")}
    env = {**kept, "HEADRACE_HOME": str(home.root), "PYTHONPATH": PATHS, **environment}
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "serve", "--port", "0", *options],
        cwd=project,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, line + process.stdout.read()
        port = int(line.split("http://127.0.0.1:")[1].split(",")[0])
        wait(lambda: answers(port), 60)
        yield process, port
    finally:
        if process.poll() is None:
            process.kill()
        process.stdout.close()
        process.wait()


def stopped(process):
    """Stop in order; what it printed since."""
    process.send_signal(signal.SIGTERM)
    told = process.stdout.read()
    assert process.wait(60) == 0, told
    return told


def answers(port):
    client = Client(port)
    try:
        return client.ask("GET", "/readyz")[0] in {200, 503}
    except OSError:
        return False
    finally:
        client.close()


def wait(happened, seconds=600):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
