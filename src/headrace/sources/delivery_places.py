"""Place where a producer puts what a source reads; verification plays the producer there."""

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
    """One delivery to put in a place: bytes, and when, int64 microseconds UTC."""

    payload: bytes
    at: int


class Place(Protocol):
    """Protocol of places where the producer of one table puts deliveries."""

    @property
    def form(self) -> Form:
        """How payloads are written: a CSV file with a header, or a JSON object a line."""
        ...

    @property
    def keeps(self) -> bool:
        """Whether several deliveries of a slot lie side by side; else the last is all there is."""
        ...

    def originals(self, slot: str) -> list[Put]:
        """What the producer delivers of the slot if nothing goes wrong."""
        ...

    def show(self, slot: str, puts: Sequence[Put]) -> None:
        """Let these, and no others, be visible for the slot."""
        ...

    def close(self) -> None:
        """Nothing can be read from now on: the source is down."""
        ...

    def open(self) -> None:
        """It is up again."""
        ...


def came(slot: str, modified: int) -> int:
    """When a file of a slot came, int64 microseconds UTC: when it was modified.

    One that was copied or checked out long after its day came six hours after that day's end. A
    table that comes whole has a slot that is no day.
    """
    try:
        end = parse_iso(slot) + DAY
    except ValueError:
        return modified
    return modified if modified <= end + _LATEST else end + _USUAL


@dataclass(frozen=True)
class FilePlace:
    """Folder of a `DropFolder`: `held` is the producer's folder, `live` the one that is read.

    Raises:
        DeclarationError: files of another form than text, one record a line.
    """

    held: DropFolder
    live: DropFolder

    def __post_init__(self) -> None:
        if Path(self.live.pattern).suffix not in _FORMS:
            raise DeclarationError(
                f"source {self.live.name}: {self.live.pattern} cannot be delivered to",
                fix=f"files that end in one of {', '.join(_FORMS)}",
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
        return [Put(one.payload, came(slot, one.arrived_at)) for one in originals]

    def show(self, slot: str, puts: Sequence[Put]) -> None:
        name = self.live.pattern.replace("{slot}", slot)
        wanted = {name.replace("*", f"_{n}" if n else ""): put for n, put in enumerate(puts)}
        folder = self._down if self._down.exists() else self._folder
        for old in folder.glob(name):
            if old.name not in wanted:
                old.unlink()
        for file, put in wanted.items():
            temporary = folder / f"{file}.part"
            temporary.write_bytes(put.payload)
            os.utime(temporary, ns=(put.at * 1000, put.at * 1000))
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
