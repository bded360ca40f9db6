"""Measure the intake of streams, also under overload: `python -m bench.streams [--json]`.

It needs a NATS server with JetStream, and a Redis server. It measures:

- the intake of events through a broker, compared with the same events as files, which pass the same
  contract and gate;
- a micro-batch in a table that already has many;
- three times as many events as the consumer can process, for `--minutes`: its memory must stay
  flat, the status must show its lag, and in the end every event must be published exactly once.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from bench.report import Comparison, compare
from headrace.contracts import load_contract
from headrace.core.home import Home
from headrace.gates import parse_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake
from headrace.sources.files import DropFolder
from headrace.streams import NatsSubject, RedisStream, Stream
from headrace.streams.consume import run_stream
from headrace.streams.status import stream_status

HERE = Path(__file__).parent
DAY = "2024-01-01"
# Under overload the consumer has small batches: commits then limit its rate, and the events of ten
# minutes at three times this rate fit on a disk.
PRESSED = {"batch_events": 500, "buffer_events": 1000, "linger": "0s", "max_lag": "2s"}
FLAT = 1.15  # maximum ratio of peak memory in the second half to that in the first half
KILOBYTES = 1024


def event(number: int) -> bytes:
    second = number % 86_400
    at = f"{DAY}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
    meter = number * 2_654_435_761 % 10_007
    return b'{"id":%d,"meter":"m%d","value":%d.%02d,"read_at":"%s"}' % (
        number, meter, number % 900, number % 100, at.encode(),
    )  # fmt: skip


def table(folder: Path) -> Table:
    contract = load_contract(HERE / "streams.yaml")
    suite = parse_suite(
        {
            "name": "meter",
            "meta": {"table": "meter"},
            "expectations": [
                {
                    "type": "expect_column_values_to_be_between",
                    "kwargs": {"column": "value", "min_value": 0, "max_value": 100_000},
                }
            ],
        }
    )
    return Table("meter", DropFolder("meter", folder, "m_{slot}*.ndjson", "b"), contract, suite)


async def _to_nats(name: str, events: Iterable[bytes]) -> None:
    import nats

    connection = await nats.connect(pending_size=64 << 20)
    count = 0
    for count, one in enumerate(events, 1):
        await connection.publish(name, one)
        if count % 1000 == 0:
            await connection.flush()
    await connection.flush()
    await connection.close()


@contextmanager
def nats_stream() -> Iterator[str]:
    import nats

    async def manage(work: str, name: str) -> None:
        connection = await nats.connect()
        jetstream = connection.jetstream(timeout=60)
        if work == "add":
            await jetstream.add_stream(name=name, subjects=[name])
        else:
            await jetstream.delete_stream(name)
        await connection.close()

    name = f"headrace-bench-{uuid.uuid4().hex[:8]}"
    asyncio.run(manage("add", name))
    try:
        yield name
    finally:
        asyncio.run(manage("delete", name))


@contextmanager
def redis_stream(events: list[bytes]) -> Iterator[str]:
    import redis

    name = f"headrace-bench-{uuid.uuid4().hex[:8]}"
    client = redis.Redis()
    for start in range(0, len(events), 5000):
        pipe = client.pipeline(transaction=False)
        for one in events[start : start + 5000]:
            pipe.xadd(name, {"event": one})
        pipe.execute()
    try:
        yield name
    finally:
        client.delete(name)
        client.close()


def rows(home: Home) -> tuple[int, int, int]:
    """Return the numbers of rows and different keys, and the sum of values, to compare tables."""
    relation = Lake(home).relation("meter", ["id", "value"])
    with duckdb.connect() as db:
        found = db.execute(
            f"SELECT count(*), count(DISTINCT id), sum(value) FROM {relation}"
        ).fetchone()
    return tuple(map(int, found))


def by_files(root: Path, events: list[bytes], size: int) -> tuple[float, tuple[int, int, int]]:
    """Ingest the same micro-batches as files, one delivery each."""
    folder, home = root / "drop", Home(root / "home")
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, len(events), size)):
        path = folder / f"m_{DAY}_{number:05}.ndjson"
        path.write_bytes(b"\n".join(events[start : start + size]) + b"\n")
    started = time.perf_counter()
    ingest(table(folder), [DAY], home)
    return time.perf_counter() - started, rows(home)


def by_stream(root: Path, place: NatsSubject | RedisStream) -> tuple[float, tuple[int, int, int]]:
    home, stream = Home(root / "home"), Stream("meter", place, "b", linger="0s")
    started = time.perf_counter()
    run_stream(stream, table(root), home, once=True)
    return time.perf_counter() - started, rows(home)


def intake(count: int, repeat: int) -> Iterator[Comparison]:
    events = [event(number) for number in range(count)]
    size = Stream("meter", RedisStream("x"), "b").batch_events
    times: dict[str, list[float]] = {"files": [], "nats": [], "redis": []}
    answers = set()
    for turn in range(repeat + 1):  # the first turn only loads modules, and is not counted
        for side, spent in times.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds, found = _one_side(side, Path(folder), events, size)
            answers.add(found)
            if turn:
                spent.append(seconds)
    for side in ("nats", "redis"):
        yield compare(
            f"streams: {count} events by {side}", times[side], "the same as files",
            times["files"], goal=None, answers_equal=len(answers) == 1, rss_mb=0,
        )  # fmt: skip


def _one_side(
    side: str, root: Path, events: list[bytes], size: int
) -> tuple[float, tuple[int, int, int]]:
    if side == "files":
        return by_files(root, events, size)
    if side == "redis":
        with redis_stream(events) as name:
            return by_stream(root, RedisStream(name))
    with nats_stream() as name:
        asyncio.run(_to_nats(name, events))
        return by_stream(root, NatsSubject(name))


def commits(count: int) -> Comparison:
    """Compare micro-batches of ten events in a table that has `count` of them, and that has few."""
    seconds: list[float] = []
    events = [event(number) for number in range(10 * count)]
    with tempfile.TemporaryDirectory() as folder, redis_stream(events) as name:
        stream = Stream("meter", RedisStream(name), "b", linger="0s", batch_events=10)
        home = Home(Path(folder) / "home")
        run_stream(
            replace(stream, buffer_events=100), table(Path(folder)), home, once=True,
            on_batch=lambda batch: seconds.append(batch.seconds),
        )  # fmt: skip
        found = rows(home)
    few = max(count // 20, 2)
    return compare(
        f"streams: a micro-batch after {count} others", seconds[-few:], "among the first",
        seconds[1:few], goal=None, answers_equal=found[0] == found[1] == len(events), rss_mb=0,
    )  # fmt: skip


def pressure(minutes: float, events: int) -> tuple[Comparison, dict]:
    """Send events at three times the consumer's rate for some minutes; then drain and count."""
    with tempfile.TemporaryDirectory() as folder, nats_stream() as name:
        root = Path(folder)
        home, calm = Home(root / "home"), Home(root / "calm")
        stream = Stream("meter", NatsSubject(name), "b", **PRESSED)
        first = min(40 * PRESSED["batch_events"], events)
        asyncio.run(_to_nats(name, map(event, range(first))))
        run_stream(
            replace(stream, batch_events=first // 2), table(root), Home(root / "warm"), once=True
        )
        started = time.perf_counter()
        run_stream(stream, table(root), calm, once=True)
        rate = first / (time.perf_counter() - started)
        shutil.rmtree(calm.root)
        seen = _press(name, root, rate, minutes * 60, first)
        behind = stream_status(stream, table(root), home)
        wide = replace(stream, batch_events=50_000, buffer_events=100_000)
        run_stream(wide, table(root), home, once=True)
        status = stream_status(stream, table(root), home)
        found = rows(home)
    sent = seen["sent"]
    half = len(seen["rss"]) // 2
    early, late = max(seen["rss"][1:half]), max(seen["rss"][half:])
    told = {
        "rate": round(rate),
        "sent": sent,
        "seconds": round(seen["seconds"]),
        "taken_under_pressure": behind["events"],
        "lag_events": behind["lag"]["events"],
        "lag_seconds": behind["lag"]["seconds"],
        "shown": behind["problems"],
        "most_buffered": behind["run"]["most_buffered"],
        "rss_mb": [early, late],
        "lost": sent - found[1],
        "doubled": found[0] - found[1],
        "conserved": status["events"] == sent == status["published"],
    }
    whole = told["lost"] == told["doubled"] == 0 and told["conserved"]
    flat = late <= FLAT * early and told["most_buffered"] <= PRESSED["buffer_events"] + 1
    done = behind["events"] / seen["seconds"]
    return (
        compare(
            "streams: 10000 events under three times the rate", [1e4 / done],
            "at its own rate", [1e4 / rate],
            goal=None, answers_equal=whole and flat and bool(behind["problems"]), rss_mb=late,
        ),
        told,
    )  # fmt: skip


def _press(name: str, root: Path, rate: float, seconds: float, first: int) -> dict:
    """Run a consumer and a producer in separate processes; return memory, events and seconds."""
    python = [sys.executable, "-m", "bench.streams"]
    consumer = subprocess.Popen([*python, "--consume", name, "--root", str(root)])
    rss: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(max(0.25, seconds / 200)):
            status = Path(f"/proc/{consumer.pid}/status").read_text()
            rss.append(int(status.split("VmRSS:")[1].split()[0]) // KILOBYTES)

    time.sleep(min(8, 4 * seconds))  # do not count initial loading as growth of memory
    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    producer = subprocess.run(
        [*python, "--produce", name, "--first", str(first), "--rate", str(3 * rate),
         "--seconds", str(seconds)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    spent = time.monotonic() - started
    done.set()
    watcher.join()
    consumer.terminate()
    consumer.wait()
    return {"rss": rss, "sent": int(producer.stdout), "seconds": spent}


async def _produce(name: str, first: int, rate: float, seconds: float) -> int:
    import nats

    connection = await nats.connect(pending_size=64 << 20)
    started, sent = time.monotonic(), first
    while (now := time.monotonic() - started) < seconds:
        due = first + int(rate * now)
        for number in range(sent, due):
            await connection.publish(name, event(number))
        sent = max(sent, due)
        await connection.flush()
        await asyncio.sleep(0.05)
    await connection.close()
    return sent


def _consume(name: str, root: Path) -> None:
    import signal

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stream = Stream("meter", NatsSubject(name), "b", **PRESSED)
    run_stream(stream, table(root), Home(root / "home"), stop=stop)


def measure(
    repeat: int = 3, events: int = 400_000, number: int = 1000, minutes: float = 10
) -> tuple[list[Comparison], dict]:
    """Return all comparisons, and the figures of the run under overload."""
    pressed, told = pressure(minutes, events)
    return [*intake(events, repeat), commits(number), pressed], told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON line per comparison")
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--consume", help=argparse.SUPPRESS)
    parser.add_argument("--produce", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.consume:
        _consume(given.consume, given.root)
        return
    if given.produce:
        print(asyncio.run(_produce(given.produce, given.first, given.rate, given.seconds)))
        return
    found, told = measure(given.repeat, given.events, given.commits, given.minutes)
    for comparison in found:
        print(comparison.line())
    print(json.dumps(told), file=sys.stderr)


if __name__ == "__main__":
    main()
