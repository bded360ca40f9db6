"""Answers of the user about their file."""

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.core.clock import duration
from headrace.core.errors import DeclarationError
from headrace.core.time_zones import zone_table

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
KINDS = ("event", "state", "planned")


@dataclass(frozen=True)
class Ask:
    """A CSV file and what its columns are for; columns are named as in its header.

    Attributes:
        data: the file: comma separated, UTF-8, with a header.
        time: the column that says when a row happened, or several with commas between them:
            year,month,day,hour; found if empty.
        key: the columns that together identify a row.
        entity: the columns that features are grouped by; guessed if empty.
        known_after: how long after its time a row can be used ("10m"); guessed if None.
        zone: IANA zone of times that carry no offset.
        time_format: strptime format of the time column, if it cannot be determined.
        target: the column to predict; guessed if None.
        table: name of the table; the file's if None.
        kind: event, state or planned, as in the contract.
        snapshot: the file is the whole table, not deliveries day by day.
        known_at: the column that says from when a row is known, where the source gives it.
        deleted: the column that says that a row is gone, where the source gives it.
        partial: the file is a sample of more rows, so that its counts say nothing.
    """

    data: Path
    time: str
    key: tuple[str, ...]
    entity: tuple[str, ...] = ()
    known_after: str | None = None
    zone: str = "UTC"
    time_format: str | None = None
    target: str | None = None
    table: str | None = None
    kind: str = "event"
    snapshot: bool = False
    partial: bool = False
    known_at: str | None = None
    deleted: str | None = None

    def __post_init__(self) -> None:
        if not self.data.is_file():
            raise DeclarationError(
                f"there is no file {self.data}", where="--data", fix="give a CSV file of your own"
            )
        zone_table(self.zone)
        if self.known_after is not None:
            duration(self.known_after)
        if self.kind not in KINDS:
            raise DeclarationError(f"no kind {self.kind!r}", fix=f"one of {', '.join(KINDS)}")
        check_name(self.table_name, "table", "--table NAME")

    def time_columns(self, headers: Sequence[str]) -> tuple[str, ...]:
        """Return the columns that `time` names: a header may itself have a comma."""
        if not self.time or self.time in headers:
            return (self.time,) if self.time else ()
        return tuple(part.strip() for part in self.time.split(","))

    @property
    def table_name(self) -> str:
        return self.table or plain_name(self.data.stem)


def check_name(name: str, what: str, fix: str) -> str:
    """Return `name`; raise DeclarationError if a folder, Python module or table cannot have it."""
    if not _NAME.fullmatch(name) or "__" in name or name.endswith("_") or keyword.iskeyword(name):
        raise DeclarationError(
            f"{name!r} cannot be the name of a {what}",
            where="lower-case letters, digits and single underscores, a letter first, at most 41",
            fix=fix,
        )
    return name


def plain_name(text: str) -> str:
    """Return `text` in lower-case letters, digits and single underscores."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    name = "_".join(words) or "column"
    return name if name[0].isalpha() else f"n_{name}"
