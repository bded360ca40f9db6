"""Source of Parquet objects that are registered and read in place, not copied."""

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
_FUTURE = duration("5m")  # greatest tolerated lead of a store's clock


@dataclass(frozen=True)
class ParquetObjects:
    """Parquet files in a bucket or folder, which are read in place and not copied.

    A batch records an object's address, size and sha256. An object is delivered once it is settled:
    its footer is complete, and either there is a marker file beside it or it has not changed for
    `settle`. The objects of a partition are independent: a blocked object is replaced only by an
    object of the same name. If a published object later has other bytes or is missing, its
    partition shows an error, but the partition's other objects are still delivered.

    Attributes:
        name: name of the source; part of the batch ids.
        place: `s3://bucket/prefix` or a folder.
        pattern: paths below `place`, with `*`, `?`, `**` as in a shell and with `{slot}`, such as
            `"dt={slot}/*.parquet"`. Without `{slot}`, all objects belong to partition "snapshot".
        producer: team or system that writes the objects.
        settle: how long an object must have been unchanged to be delivered.
        marker: name of a file, such as "_SUCCESS", that marks all objects in its folder as
            complete, so that they need not wait for `settle`.
        stuck_after: an object that has no complete footer after this time is an error.
        expires: age after which an object may be deleted from `place`; None if it never may.
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
                raise DeclarationError(
                    f"source {self.name}: {text!r} is negative", fix="write it as in 60s"
                )

    def deliveries(self, slot: str) -> list[Delivery]:
        """Raise an error: new objects depend on registered ones, which only `resume` receives."""
        raise DeclarationError(
            f"source {self.name} needs the ledger to find what is new",
            where=f"slot {slot}",
            fix="ingest its table: headrace run",
        )

    def resume(self, slot: str, past: Past) -> list[Delivery]:
        """Return a delivery for each settled object of the partition that is not registered yet.

        Raises:
            IncompleteError: if some objects changed, disappeared, or were never completed; it holds
                the deliveries of the others.
            SourceError: if the store does not answer, or `place` does not exist.
        """
        if "{slot}" not in self.pattern and slot != SNAPSHOT:
            return []
        now = now_us()
        files = self._files(slot)
        marked = {file.uri.rpartition("/")[0] for file in files if file.name == self.marker}
        objects = [file for file in files if file.name != self.marker]
        deliveries: list[Delivery] = []
        faults = self._missing(slot, {object_.uri for object_ in objects}, past, now)
        for file in objects:
            try:
                delivery = self._registered(
                    file, slot, past, now, file.uri.rpartition("/")[0] in marked
                )
            except (SourceError, StateError) as error:
                faults.append(error.what)
            else:
                deliveries += [delivery] if delivery is not None else []
        if faults:
            raise self._incomplete(slot, faults, deliveries)
        return deliveries

    def _files(self, slot: str) -> list[Stored]:
        require(self.place)
        base = f"{self.place.rstrip('/')}/{self.pattern.replace('{slot}', slot)}"
        files = listed(base, missing_ok=True)
        if self.marker is None or not files:
            return files
        folders = sorted({file.uri.rpartition("/")[0] for file in files})
        marks = [f"{folder}/{self.marker}" for folder in folders]
        return [*files, *(file for mark in marks for file in listed(mark, missing_ok=True))]

    def _registered(
        self, file: Stored, slot: str, past: Past, now: int, marked: bool
    ) -> Delivery | None:
        """Return the delivery of a new or replaced object; None if unchanged or not settled."""
        before = _Registration.read(past.position(file.uri))
        if before and (file.size, file.modified) == (before.version.size, before.version.modified):
            return None
        if not marked and now - file.modified < duration(self.settle):
            return None
        version = version_of(file.uri)
        if version is None or (version.size, version.modified) != (file.size, file.modified):
            return None
        rows = self._rows(file, now)
        if rows is None:
            return None
        sha = hash_of(file.uri, version)
        if before and sha == before.sha256:
            return None
        if before and past.is_published(file.uri):
            raise SourceError(
                f"{file.uri} was registered on {iso(before.at)} and published, but holds other"
                f" bytes since {iso(file.modified)}"
            )
        reference = Reference(sha, version.size, rows)
        return self._delivery(file, slot, reference, past, _Registration(sha, version, slot, now))

    def _rows(self, file: Stored, now: int) -> int | None:
        """Return the number of rows from the footer; None if the footer is not written yet."""
        try:
            with opened(file.uri) as handle:
                return int(pq.read_metadata(handle).num_rows)
        except (pa.ArrowInvalid, OSError) as error:
            if now - file.modified > duration(self.stuck_after):
                raise SourceError(
                    f"{file.uri} has no whole footer {self.stuck_after} after it was last written:"
                    f" {str(error).splitlines()[0]}"
                ) from error
            return None

    def _missing(self, slot: str, present: set[str], past: Past, now: int) -> list[str]:
        problems = []
        for uri, position in past.positions().items():
            if uri in present or json.dumps(slot) not in position:  # faster than parsing
                continue
            registration = _Registration.read(position)
            if registration is None or registration.slot != slot:
                continue
            old = self.expires and now - registration.version.modified > duration(self.expires)
            if not old and past.is_published(uri):
                problems.append(f"{uri}, registered on {iso(registration.at)}, is gone")
        return problems

    def _delivery(
        self,
        file: Stored,
        slot: str,
        reference: Reference,
        past: Past,
        registration: "_Registration",
    ) -> Delivery:
        position = registration.text()
        return Delivery(
            source=self.name,
            slot=slot,
            payload=reference.payload(),
            format="objects",
            origin=file.uri,
            arrived_at=min(file.modified, registration.at + _FUTURE),
            producer=self.producer,
            offsets=Offsets(
                stream=self.name,
                lane=file.uri,
                after=past.position(file.uri),
                first=position,
                last=position,
                events=reference.rows,
                first_at=registration.at,
                last_at=registration.at,
            ),
        )

    def _incomplete(
        self, slot: str, faults: list[str], deliveries: list[Delivery]
    ) -> IncompleteError:
        rest = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return IncompleteError(
            f"source {self.name}: {faults[0]}{rest}",
            where=f"{self.place}, slot {slot}",
            fix="put the original object back: the same bytes are the same batch. Deliver other"
            " content under another name; the published rows do not change",
            deliveries=tuple(deliveries),
        )


@dataclass(frozen=True)
class _Registration:
    """Record of an object in the ledger: it shows, without a read, if the object is unchanged."""

    sha256: str
    version: Version
    slot: str
    at: int

    def text(self) -> str:
        return canonical_json({"format": _FORMAT, **asdict(self)}).decode()

    @classmethod
    def read(cls, text: str) -> "_Registration | None":
        if not text:
            return None
        document: Mapping[str, Any] = json.loads(text)
        version = Version(**document["version"])
        return cls(str(document["sha256"]), version, str(document["slot"]), int(document["at"]))
