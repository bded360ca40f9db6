"""The user's description of a data file, from which a pipeline is scaffolded."""

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
    """CSV file and the roles of its columns; columns are named as in the file's header.

    Attributes:
        data: the file: comma-separated, UTF-8, with a header.
        time: the column with the event time, or several columns separated by commas, such as
            year,month,day,hour; detected if empty.
        key: the columns that together identify a row.
        entity: the columns that features are grouped by; guessed if empty.
        known_after: delay from event time to known-at, such as "10m"; guessed if None.
        zone: IANA time zone of times without a UTC offset.
        time_format: strptime format of the time column, if it cannot be detected.
        target: the column to predict; guessed if None.
        table: name of the table; derived from the file's name if None.
        kind: event, state or planned, as in the contract.
        snapshot: True if the file is the whole table, not rows to deliver day by day.
        known_at: the column with the known-at, if the source has one.
        deleted: the column that is true for deleted rows, if the source has one.
        partial: True if the file is only a sample; then the draft does not check row counts.
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
            raise DeclarationError(
                f"{self.kind!r} is not a kind of table", fix=f"one of {', '.join(KINDS)}"
            )
        check_name(self.table_name, "table", "--table NAME")

    def time_columns(self, headers: Sequence[str]) -> tuple[str, ...]:
        """Return the columns that `time` names; a single header may itself contain a comma."""
        if not self.time or self.time in headers:
            return (self.time,) if self.time else ()
        return tuple(part.strip() for part in self.time.split(","))

    @property
    def table_name(self) -> str:
        return self.table or plain_name(self.data.stem)


def check_name(name: str, what: str, fix: str) -> str:
    """Return `name`; raise DeclarationError if it cannot name a folder, Python module or table."""
    if not _NAME.fullmatch(name) or "__" in name or name.endswith("_") or keyword.iskeyword(name):
        raise DeclarationError(
            f"{name!r} cannot be the name of a {what}",
            where="a name begins with a letter and has at most 41 characters: lower-case letters,"
            " digits and single underscores",
            fix=fix,
        )
    return name


def plain_name(text: str) -> str:
    """Convert `text` to a name of lower-case letters, digits and single underscores."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    name = "_".join(words) or "column"
    return name if name[0].isalpha() else f"n_{name}"
