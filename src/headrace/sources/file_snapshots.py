"""Source of full-table files: delivers the rows that changed from one file to the next."""

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
from headrace.sources.relational.table_differences import DeliveredRows, delivered_rows, key_of
from headrace.sources.sql import SNAPSHOT
from headrace.sources.sql_changes import DELETED, NOTICED

_ANY = "{slot}"


@dataclass(frozen=True)
class FileSnapshots:
    """Full snapshots of one table in a drop folder, in the order of their modification times.

    Each delivery holds the rows of one file that are new or changed since the previous file, with
    an additional column `noticed_at`, the file's modification time. With `deletions`, there is also
    a column `deleted`: it is true in a tombstone, which repeats the row as last delivered.

    If a file has an unreadable row or lacks too many of the earlier keys, it gives an error and
    nothing is delivered: a truncated file must not delete the rows that it lacks.

    Attributes:
        name: name of the source; if it changes, reading starts again at the first file.
        folder: the folder, or `"s3://bucket/prefix"`; subfolders are not searched.
        pattern: file name with shell wildcards, such as `"stock_*.csv"`.
        key: columns that identify a row.
        producer: team or system that writes the files.
        deletions: True if a key that is missing from a later file counts as deleted.
        most_deleted: greatest share of the keys that may be deleted at once.
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
            raise self._misdeclared("no key", "name the columns that identify a row")
        if _ANY in self.pattern:
            raise self._misdeclared("its pattern contains {slot}", "write * in the place of {slot}")
        if not 0 <= self.most_deleted <= 1:
            raise self._misdeclared(f"most_deleted {self.most_deleted}", "write a share, 0 to 1")

    def deliveries(self, slot: str) -> list[Delivery]:
        """Raise an error: changes depend on earlier deliveries, which only `resume` receives."""
        raise DeclarationError(
            f"source {self.name} needs the ledger to find what is new",
            where=f"slot {slot}",
            fix="ingest its table: headrace run",
        )

    def resume(self, slot: str, past: Past) -> list[Delivery]:
        """Return one delivery of changes per file since the last one read; none for other slots.

        Raises:
            SourceError: if a file cannot be read completely, two of its rows have the same key, or
                more rows are missing than `most_deleted` allows.
        """
        if slot != SNAPSHOT:
            return []
        at = past.position()
        last = self._position(at)
        delivered = delivered_rows(past, self.key, (), None)
        deliveries: list[Delivery] = []
        for file in self._after(last):
            delivery = self._changes(file, delivered, at)
            if delivery is not None:
                deliveries.append(delivery)
                at = delivery.offsets.last if delivery.offsets else at
        return deliveries

    def _position(self, at: str) -> Position:
        try:
            return Position.read(at)
        except (ValueError, TypeError) as error:
            raise self._error(
                "its position in the ledger was written by another source",
                "give this source a name that no other source has used",
            ) from error

    def _after(self, last: Position) -> Iterator[Delivery]:
        """Yield the files after a position; its `style` is the address of the last file read."""
        # With "" as slot, the pattern of this drop folder is `pattern`.
        folder = DropFolder(self.name, self.folder, f"{_ANY}{self.pattern}", self.producer)
        for file in folder.deliveries(""):
            if (file.arrived_at, file.origin) > (last.read_at, last.style):
                yield file

    def _changes(self, file: Delivery, delivered: DeliveredRows, at: str) -> Delivery | None:
        """Return the changes from `delivered` to the file, and apply them to `delivered`.

        Returns None if nothing changed; the first file always gives a delivery.
        """
        rows = self._rows(file)
        first = not delivered.rows
        changed = [row for row in rows if delivered.differs(row)]
        deleted = delivered.missing(rows) if self.deletions else []
        if deleted and len(deleted) > self.most_deleted * delivered.alive:
            raise self._error(
                f"{len(deleted)} of {delivered.alive} rows are gone at once in {file.origin}",
                "if they were deleted, raise `most_deleted` for one run; else have the file"
                " delivered again",
            )
        if not changed and not deleted and not first:
            return None
        noticed = {NOTICED: iso(file.arrived_at)}
        records = [
            {**row, **noticed, **({DELETED: False} if self.deletions else {})} for row in changed
        ]
        records += [{**row, **noticed, DELETED: True} for row in deleted]
        payload = ndjson(sorted(records, key=lambda row: [str(row[name]) for name in self.key]))
        for row in changed:
            delivered.update(row)
        for row in deleted:
            delivered.drop(row)
        text = Position(style=file.origin, read_at=file.arrived_at, full_at=file.arrived_at).text()
        moment = file.arrived_at
        return Delivery(
            source=self.name, slot=SNAPSHOT, payload=payload, format="changes", origin=file.origin,
            arrived_at=moment, producer=self.producer,
            offsets=Offsets(
                stream=self.name, lane="", after=at, first=text, last=text, events=len(records),
                first_at=moment, last_at=moment,
            ),
        )  # fmt: skip

    def _rows(self, file: Delivery) -> list[Row]:
        read = read_rows(file, null_tokens=self.null_tokens)
        if read.malformed:
            line, _, why = read.malformed[0]
            raise self._error(
                f"{file.origin} cannot be read completely: line {line}: {why}",
                "have it delivered again; none of its rows was delivered, and no row was deleted",
            )
        if missing := sorted(set(self.key) - set(read.columns)):
            raise self._error(
                f"{file.origin} has no column {', '.join(missing)}",
                "correct `key` where the source is declared",
            )
        if reserved := sorted({NOTICED, DELETED} & set(read.columns)):
            raise self._error(
                f"{file.origin} has a column {', '.join(reserved)}, which this source adds",
                "have that column delivered under another name",
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
