"""Append-only NDJSON file of lineage events, which holds each run once.

A line that a crash truncated is ignored, and its run is written again on a new line. One writer at
a time holds the file's lock.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.core.errors import StateError
from headrace.core.files import canonical_json
from headrace.core.home import Home
from headrace.lineage.events.openlineage import Event, LineageRun

NAME = "openlineage.ndjson"
_ENDS = ("COMPLETE", "FAIL", "ABORT")


def event_path(home: Home) -> Path:
    return home.root / "lineage" / NAME


def read_events(path: Path) -> Iterator[Event]:
    """Yield the complete events of a file; lines that a crash truncated are skipped."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "run" in event:
                yield event


def ended_runs(path: Path) -> set[str]:
    """Return the ids of the runs whose final event is in the file."""
    return {
        str(event["run"]["runId"]) for event in read_events(path) if event.get("eventType") in _ENDS
    }


def append(home: Home, runs: Iterable[LineageRun]) -> int:
    """Write the events of runs that are not in the file yet; return the number of these events.

    Raises:
        StateError: the file cannot be written.
    """
    path = event_path(home)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path) as handle:
            recorded, written = ended_runs(path), 0
            lines = [_break(path)]
            for run in runs:
                if run.id in recorded:
                    continue
                recorded.add(run.id)
                events = run.events()
                lines += [canonical_json(event) + b"\n" for event in events]
                written += len(events)
            if written:
                _write(handle, b"".join(lines))
            return written
    except OSError as error:
        raise StateError(
            f"lineage events cannot be written: {error.strerror}",
            where=str(path),
            fix="free disk space or allow writing; `headrace lineage record` then writes the"
            " missing events",
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _break(path: Path) -> bytes:
    """Return a line break if the last line of the file does not end with one."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return b""
        file.seek(-1, os.SEEK_END)
        return b"" if file.read(1) == b"\n" else b"\n"


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
    os.fsync(handle)
