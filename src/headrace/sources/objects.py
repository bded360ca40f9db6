"""Parquet objects of a store, delivered where they lie: registered, and not copied."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.clock import duration, iso, now_us
from headrace.core.errors import DeclarationError, SourceError, StateError
from headrace.core.files import canonical_json
from headrace.sources.base import Delivery, IncompleteError, Offsets, Past
from headrace.sources.delivery_reference import Reference, Version, hash_of, version_of
from headrace.sources.sql import SNAPSHOT
from headrace.sources.storage import Stored, listed, opened, require

_FORMAT = 1
_FUTURE = duration("5m")  # how far ahead a store's clock may be


@dataclass(frozen=True)
class ParquetObjects:
    """Parquet files in a bucket or a folder, which are read in place and not copied.

    A batch holds an object's address, size and sha256. An object is delivered once it is settled:
    a marker lies beside it, or it has not changed for `settle`; and its footer is whole. Until then
    it is not there yet. Each object stands alone: a later one never takes the place of a blocked
    one, except under the same name. One that was published and then holds other bytes, or is gone,
    is an error of its slot, while other objects of the slot go on.

    Attributes:
        name: name of the source; part of the batch ids.
        place: `s3://bucket/prefix` or a folder.
        pattern: names below it; `*`, `?`, `**` as in a shell, and `{slot}`, such as
            `"dt={slot}/*.parquet"`. Without `{slot}` all objects belong to the slot "snapshot".
        producer: who writes them.
        settle: for how long size and modification time must not have changed.
        marker: the name of a file beside the objects that says that all of them are whole, such as
            "_SUCCESS"; objects in its folder need not wait.
        stuck_after: an object still without a whole footer after so long is an error.
        expires: objects older than this may be gone; None: none may.
    """

    name: str
    place: str
    pattern: str
    producer: str
    settle: str = "60s"
    marker: str | None = "_SUCCESS"
    stuck_after: str = "6h"
    expires: str | None = None

    def __post_init__(self) -> None:
        for text in (self.settle, self.stuck_after, *([self.expires] if self.expires else [])):
            if duration(text) < 0:
                raise DeclarationError(f"source {self.name}: {text!r} is negative", fix="as in 60s")

    def deliveries(self, slot: str) -> list[Delivery]:
        """Not to be asked: what is new depends on what was registered, which `resume` is given."""
        raise DeclarationError(
            f"source {self.name} can only be asked together with a ledger",
            where=f"slot {slot}",
            fix="ingest its table: headrace run",
        )

    def resume(self, slot: str, past: Past) -> list[Delivery]:
        """The settled objects of the slot that were not registered yet, in order of their names.

        Raises:
            IncompleteError: some objects changed, are gone, or never got whole; it has the rest.
            SourceError: the store does not answer, or there is no such place.
        """
        if "{slot}" not in self.pattern and slot != SNAPSHOT:
            return []
        now = now_us()
        files = self._files(slot)
        marked = {file.uri.rpartition("/")[0] for file in files if file.name == self.marker}
        objects = [file for file in files if file.name != self.marker]
        found: list[Delivery] = []
        faults = self._gone(slot, {object_.uri for object_ in objects}, past, now)
        for one in objects:
            try:
                made = self._registered(one, slot, past, now, one.uri.rpartition("/")[0] in marked)
            except (SourceError, StateError) as error:
                faults.append(error.what)
            else:
                found += [made] if made is not None else []
        if faults:
            raise self._incomplete(slot, faults, found)
        return found

    def _files(self, slot: str) -> list[Stored]:
        require(self.place)
        base = f"{self.place.rstrip('/')}/{self.pattern.replace('{slot}', slot)}"
        files = listed(base, missing_ok=True)
        if self.marker is None or not files:
            return files
        folders = sorted({one.uri.rpartition("/")[0] for one in files})
        marks = [f"{folder}/{self.marker}" for folder in folders]
        return [*files, *(one for mark in marks for one in listed(mark, missing_ok=True))]

    def _registered(
        self, one: Stored, slot: str, past: Past, now: int, marked: bool
    ) -> Delivery | None:
        """The delivery of an object that is new, or new again; None if there is nothing to do."""
        before = _Known.read(past.position(one.uri))
        if before and (one.size, one.modified) == (before.version.size, before.version.modified):
            return None
        if not marked and now - one.modified < duration(self.settle):
            return None
        version = version_of(one.uri)
        if version is None or (version.size, version.modified) != (one.size, one.modified):
            return None
        rows = self._rows(one, now)
        if rows is None:
            return None
        sha = hash_of(one.uri, version)
        if before and sha == before.sha256:
            return None
        if before and past.is_published(one.uri):
            raise SourceError(
                f"{one.uri} was registered on {iso(before.at)} and published, and holds other bytes"
                f" since {iso(one.modified)}"
            )
        reference = Reference(sha, version.size, rows)
        return self._delivery(one, slot, reference, past, _Known(sha, version, slot, now))

    def _rows(self, one: Stored, now: int) -> int | None:
        """Rows by the footer; None if it is not written yet."""
        try:
            with opened(one.uri) as handle:
                return int(pq.read_metadata(handle).num_rows)
        except (pa.ArrowInvalid, OSError) as error:
            if now - one.modified > duration(self.stuck_after):
                raise SourceError(
                    f"{one.uri} has no whole footer {self.stuck_after} after it was last written:"
                    f" {str(error).splitlines()[0]}"
                ) from error
            return None

    def _gone(self, slot: str, there: set[str], past: Past, now: int) -> list[str]:
        told = []
        for uri, position in past.positions().items():
            if uri in there or json.dumps(slot) not in position:  # cheaper than to read them all
                continue
            known = _Known.read(position)
            if known is None or known.slot != slot:
                continue
            old = self.expires and now - known.version.modified > duration(self.expires)
            if not old and past.is_published(uri):
                told.append(f"{uri}, registered on {iso(known.at)}, is gone")
        return told

    def _delivery(
        self, one: Stored, slot: str, reference: Reference, past: Past, known: "_Known"
    ) -> Delivery:
        position = known.text()
        return Delivery(
            source=self.name,
            slot=slot,
            payload=reference.payload(),
            format="objects",
            origin=one.uri,
            arrived_at=min(one.modified, known.at + _FUTURE),
            producer=self.producer,
            offsets=Offsets(
                stream=self.name,
                lane=one.uri,
                after=past.position(one.uri),
                first=position,
                last=position,
                events=reference.rows,
                first_at=known.at,
                last_at=known.at,
            ),
        )

    def _incomplete(self, slot: str, faults: list[str], found: list[Delivery]) -> IncompleteError:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return IncompleteError(
            f"source {self.name}: {faults[0]}{more}",
            where=f"{self.place}, slot {slot}",
            fix="put back what was there: the same bytes are the same batch. Other content goes"
            " under another name; what was published stays as it was",
            deliveries=tuple(found),
        )


@dataclass(frozen=True)
class _Known:
    """What the ledger keeps of an object: how to see, without reading it, that it is the same."""

    sha256: str
    version: Version
    slot: str
    at: int

    def text(self) -> str:
        return canonical_json({"format": _FORMAT, **asdict(self)}).decode()

    @classmethod
    def read(cls, text: str) -> "_Known | None":
        if not text:
            return None
        given: Mapping[str, Any] = json.loads(text)
        version = Version(**given["version"])
        return cls(str(given["sha256"]), version, str(given["slot"]), int(given["at"]))
