"""Files that each hold a whole table: what changed from one to the next, and what is gone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.core.clock import iso
from headrace.core.errors import DeclarationError, SourceError
from headrace.sources.base import Delivery, Offsets, Past
from headrace.sources.files import DropFolder
from headrace.sources.parse import NULL_TOKENS, read_rows
from headrace.sources.relational.change_cursor import Position
from headrace.sources.relational.json_values import Row, ndjson
from headrace.sources.relational.table_differences import Known, key_of, known_rows
from headrace.sources.sql import SNAPSHOT
from headrace.sources.sql_changes import DELETED, NOTICED

_ANY = "{slot}"


@dataclass(frozen=True)
class FileSnapshots:
    """Full snapshots of one table in a drop folder, in the order of their modification times.

    Each delivery holds the rows of one file that are new or other than in the file before, with a
    column more: `noticed_at`, the file's modification time. Where deletions are declared there is
    `deleted` too: true in a tombstone, which is the row as it was last delivered.

    A file with a row that cannot be read, or without too many of the keys before, is an error and
    changes nothing: a file that was cut short must not delete what it lost.

    Attributes:
        name: name of the source; renaming it starts it anew.
        folder: the folder, or `"s3://bucket/prefix"`; subfolders are not searched.
        pattern: file name with shell wildcards, such as `"stock_*.csv"`.
        key: columns that tell the rows apart.
        producer: who writes the files.
        deletions: a key that a later file does not hold any more was deleted.
        most_deleted: greatest share of the keys that may be gone at once.
        null_tokens: unquoted CSV fields that mean null.
    """

    name: str
    folder: Path | str
    pattern: str
    key: tuple[str, ...]
    producer: str
    deletions: bool = False
    most_deleted: float = 0.5
    null_tokens: tuple[str, ...] = NULL_TOKENS

    def __post_init__(self) -> None:
        if not self.key:
            raise self._misdeclared("no key", "name the columns that tell the rows apart")
        if _ANY in self.pattern:
            raise self._misdeclared("a slot in its pattern", "write * in the place of {slot}")
        if not 0 <= self.most_deleted <= 1:
            raise self._misdeclared(f"most_deleted {self.most_deleted}", "write a share, 0 to 1")

    def deliveries(self, slot: str) -> list[Delivery]:
        """Nothing: what is new depends on what was taken, which `resume` is given."""
        raise DeclarationError(
            f"source {self.name} can only be asked together with a ledger",
            where=f"slot {slot}",
            fix="ingest its table: headrace run",
        )

    def resume(self, slot: str, past: Past) -> list[Delivery]:
        """The changes of each file after the last that was taken, if `slot` is "snapshot".

        Raises:
            SourceError: a file cannot be read whole, its key does not tell rows apart, or more
                rows are gone than may be.
        """
        if slot != SNAPSHOT:
            return []
        at = past.position()
        last = self._position(at)
        known = known_rows(past, self.key, (), None)
        made: list[Delivery] = []
        for file in self._after(last):
            delivery = self._changes(file, known, at)
            if delivery is not None:
                made.append(delivery)
                at = delivery.offsets.last if delivery.offsets else at
        return made

    def _position(self, at: str) -> Position:
        try:
            return Position.read(at)
        except (ValueError, TypeError) as error:
            raise self._error(
                "its position in the ledger is not one of this source",
                "another source had this name: give this one another",
            ) from error

    def _after(self, last: Position) -> Iterator[Delivery]:
        """The files that came after the position, of which `style` is the origin."""
        # With an empty slot, the pattern of a drop folder is this one.
        folder = DropFolder(self.name, self.folder, f"{_ANY}{self.pattern}", self.producer)
        for file in folder.deliveries(""):
            if (file.arrived_at, file.origin) > (last.read_at, last.style):
                yield file

    def _changes(self, file: Delivery, known: Known, at: str) -> Delivery | None:
        """Return the rows that `known` lacks, and add them to it; None if there are none."""
        rows = self._rows(file)
        first = not known.rows
        changed = [row for row in rows if known.differs(row)]
        gone = known.missing(rows) if self.deletions else []
        if gone and len(gone) > self.most_deleted * known.alive:
            raise self._error(
                f"{len(gone)} of {known.alive} rows are gone at once in {file.origin}",
                "if they were deleted, raise `most_deleted` for one run; else have the file"
                " delivered again",
            )
        if not changed and not gone and not first:
            return None
        noticed = {NOTICED: iso(file.arrived_at)}
        told = [
            {**row, **noticed, **({DELETED: False} if self.deletions else {})} for row in changed
        ]
        told += [{**row, **noticed, DELETED: True} for row in gone]
        payload = ndjson(sorted(told, key=lambda row: [str(row[name]) for name in self.key]))
        for row in changed:
            known.put(row)
        for row in gone:
            known.drop(row)
        text = Position(style=file.origin, read_at=file.arrived_at, full_at=file.arrived_at).text()
        moment = file.arrived_at
        return Delivery(
            source=self.name, slot=SNAPSHOT, payload=payload, format="changes", origin=file.origin,
            arrived_at=moment, producer=self.producer,
            offsets=Offsets(
                stream=self.name, lane="", after=at, first=text, last=text, events=len(told),
                first_at=moment, last_at=moment,
            ),
        )  # fmt: skip

    def _rows(self, file: Delivery) -> list[Row]:
        read = read_rows(file, null_tokens=self.null_tokens)
        if read.malformed:
            line, _, why = read.malformed[0]
            raise self._error(
                f"{file.origin} cannot be read whole: line {line}: {why}",
                "have it delivered again; nothing of it was taken, and nothing deleted",
            )
        if missing := sorted(set(self.key) - set(read.columns)):
            raise self._error(
                f"{file.origin} has no column {', '.join(missing)}",
                "correct `key` where the source is declared",
            )
        if taken := sorted({NOTICED, DELETED} & set(read.columns)):
            raise self._error(
                f"{file.origin} has a column {', '.join(taken)}, which this source adds",
                "have it delivered under another name",
            )
        rows: list[Row] = read.table.to_pylist()
        if len({key_of(row, self.key) for row in rows}) < len(rows):
            raise self._error(
                f"two rows of {file.origin} have the same {', '.join(self.key)}",
                "name all columns of the key where the source is declared",
            )
        return rows

    def _error(self, what: str, fix: str) -> SourceError:
        where = f"source {self.name}: {self.pattern} in {self.folder}"
        return SourceError(f"source {self.name}: {what}", where=where, fix=fix)

    def _misdeclared(self, what: str, fix: str) -> DeclarationError:
        return DeclarationError(f"source {self.name}: {what}", where="FileSnapshots", fix=fix)
