"""Where a consumer leaves word of itself. None of it is needed to go on; the ledger has that."""

from pathlib import Path

from headrace.core.home import Home
from headrace.streams.spec import Stream


def beat_path(home: Home, stream: Stream) -> Path:
    return home.root / "streams" / f"{stream.name}.json"


def lock_path(home: Home, stream: Stream) -> Path:
    return home.root / "streams" / f"{stream.name}.lock"
