"""Paths of a consumer's heartbeat file and lock file; its position is in the ledger."""

from pathlib import Path

from headrace.core.home import Home
from headrace.streams.spec import Stream


def beat_path(home: Home, stream: Stream) -> Path:
    return home.root / "streams" / f"{stream.name}.json"


def lock_path(home: Home, stream: Stream) -> Path:
    return home.root / "streams" / f"{stream.name}.lock"
