"""kill -9 of the writer at any moment: the store reads, nothing acknowledged is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.serving.online import LmdbStore, MemoryStore, apply, store_metadata
from tests.online.killed_writer import BATCH, LAYOUT, rows
from tests.online.kit import entries

COUNT = 16_000
ROOT = Path(__file__).parents[2]


def start(folder):
    command = [sys.executable, "-m", "tests.online.killed_writer", str(folder), str(COUNT)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kill_at_random(folder, chance):
    """The last batch that the writer said it was done with; None if it was done with all."""
    writer = start(folder)
    first = writer.stdout.readline()
    time.sleep(chance.random() * 0.6)
    os.kill(writer.pid, signal.SIGKILL)
    said = [int(line) for line in [first, *writer.stdout] if line.strip()]
    writer.wait()
    writer.stdout.close()
    return max(said, default=-1)


def reference(count):
    store, table = MemoryStore(), rows(COUNT)
    for begin in range(0, count, 4000):
        apply(store, LAYOUT, "events", table.slice(begin, min(4000, count - begin)))
    return data(store)


def data(store):
    return {key: value for key, value in entries(store).items() if not key.startswith(b"m")}


def killed_and_converges(folder, chance, whole):
    said = kill_at_random(folder, chance)
    store = LmdbStore(folder, durable=False)
    with store.reading() as reader:
        stands = store_metadata.read_frontier(reader, "events")["snapshot_id"]
    assert stands >= said
    assert data(store) == reference((stands + 1) * BATCH)
    table = rows(COUNT)
    for begin in range(0, COUNT, 4000):  # the rerun begins at the beginning
        apply(store, LAYOUT, "events", table.slice(begin, 4000))
    assert data(store) == whole
    store.close()
    return stands


def test_a_killed_writer_loses_nothing_and_the_rerun_converges(tmp_path):
    chance, whole = random.Random(0), reference(COUNT)
    stood = {killed_and_converges(tmp_path / str(i), chance, whole) for i in range(4)}
    assert len(stood) > 1


@pytest.mark.slow
def test_two_hundred_killed_writers(tmp_path):
    chance, whole = random.Random(1), reference(COUNT)
    for i in range(200):
        killed_and_converges(tmp_path / str(i), chance, whole)
