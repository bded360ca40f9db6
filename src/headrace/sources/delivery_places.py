"""Places where producers put deliveries for a source; verification acts as the producer there."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from headrace.core.clock import DAY, parse_iso
from headrace.core.errors import DeclarationError
from headrace.sources.files import DropFolder

Form = Literal["csv", "ndjson"]
_LATEST, _USUAL = 28 * DAY, DAY // 4
_FORMS: dict[str, Form] = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


@dataclass(frozen=True)
class Put:
    """Delivery to put in a place: its bytes, and its arrival time in int64 microseconds UTC."""

    payload: bytes
    at: int


class Place(Protocol):
    """Protocol of places where the producer of one table puts deliveries."""

    @property
    def form(self) -> Form:
        """Format of payloads: "csv" (with a header) or "ndjson"."""
        ...

    @property
    def keeps(self) -> bool:
        """True if a partition keeps all its deliveries; otherwise a new one replaces the last."""
        ...

    def originals(self, slot: str) -> list[Put]:
        """Return the partition's deliveries without injected faults."""
        ...

    def show(self, slot: str, puts: Sequence[Put]) -> None:
        """Make exactly these deliveries visible for the partition."""
        ...

    def close(self) -> None:
        """Begin an outage: from now on, nothing can be read from the source."""
        ...

    def open(self) -> None:
        """End the outage."""
        ...


def came(slot: str, modified: int) -> int:
    """Return the arrival time of a file, int64 microseconds UTC: its modification time.

    A file modified more than 28 days after its day ended, for example by a copy or checkout, counts
    as arrived six hours after the end of that day. If the partition is not a day, its modification
    time counts.
    """
    try:
        end = parse_iso(slot) + DAY
    except ValueError:
        return modified
    return modified if modified <= end + _LATEST else end + _USUAL


@dataclass(frozen=True)
class FilePlace:
    """Folder of a `DropFolder`: `held` has the original files, and the source reads `live`.

    Raises:
        DeclarationError: if the files are neither CSV nor NDJSON.
    """

    held: DropFolder
    live: DropFolder

    def __post_init__(self) -> None:
        if Path(self.live.pattern).suffix not in _FORMS:
            raise DeclarationError(
                f"source {self.live.name}: verification cannot write files of {self.live.pattern}",
                fix=f"it writes files that end in one of {', '.join(_FORMS)}",
            )
        self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def form(self) -> Form:
        return _FORMS[Path(self.live.pattern).suffix]

    @property
    def keeps(self) -> bool:
        return "*" in self.live.pattern

    def originals(self, slot: str) -> list[Put]:
        originals = self.held.deliveries(slot)
        return [Put(delivery.payload, came(slot, delivery.arrived_at)) for delivery in originals]

    def show(self, slot: str, puts: Sequence[Put]) -> None:
        name = self.live.pattern.replace("{slot}", slot)
        files = {name.replace("*", f"_{n}" if n else ""): deposit for n, deposit in enumerate(puts)}
        folder = self._down if self._down.exists() else self._folder
        for old in folder.glob(name):
            if old.name not in files:
                old.unlink()
        for file, deposit in files.items():
            temporary = folder / f"{file}.part"
            temporary.write_bytes(deposit.payload)
            os.utime(temporary, ns=(deposit.at * 1000, deposit.at * 1000))
            temporary.replace(folder / file)

    def close(self) -> None:
        if self._folder.exists():
            self._folder.rename(self._down)

    def open(self) -> None:
        if self._down.exists():
            self._down.rename(self._folder)

    @property
    def _folder(self) -> Path:
        return Path(self.live.folder)

    @property
    def _down(self) -> Path:
        return self._folder.with_name(self._folder.name + ".down")
