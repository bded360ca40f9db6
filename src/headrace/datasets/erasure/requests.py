"""Erasure requests, stored permanently without naming the person.

    erasures/<id>/request.json        columns, keyed digests of the value, who, why, when
    erasures/<id>/<manifest id>.json  proof that the successor is the old release without the rows

A request holds HMACs of the person's value under the privacy key. With them Headrace finds the
person's rows, also in later releases made from tables that still contain the person. The HMACs do
not reveal the person. Every new release excludes the rows of all recorded requests, so the key is
needed to make it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json, digest
from headrace.datasets.governance.privacy_key import PrivacyKey
from headrace.datasets.hashing.content_hash import canonical_type
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store

FORMAT = 1
FOLDER = "erasures"
ALL = "all"
Mask = npt.NDArray[np.bool_]
# Column types that are searched for a person.
TELLABLE = ("int64", "string", "float64")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class ErasureRequest:
    """A request to erase the rows of a person.

    Attributes:
        id: 32 hex digits; equal requests have equal ids.
        columns: column -> digests of the value in all forms: plain and pseudonymised, as text and
            as number. A row matches if every column has one of its digests.
        key_id: id of the privacy key that the digests were made with.
        datasets: names of the datasets to search, or `all`.
        at: moment of the request, int64 microseconds UTC.
        principal, reason: who made the request, and why.
    """

    id: str
    columns: Mapping[str, tuple[str, ...]]
    key_id: str
    datasets: tuple[str, ...] | str
    at: int
    principal: str
    reason: str

    def covers(self, dataset: str) -> bool:
        return self.datasets == ALL or dataset in self.datasets

    def entry(self) -> dict[str, Any]:
        """Entry for the manifest of a release that lacks these rows."""
        return {"id": self.id, "at_us": self.at, "because": self.reason}

    def __str__(self) -> str:
        return f"erasure {self.id[:12]} by {self.principal} at {iso(self.at)}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        columns = {name: list(values) for name, values in self.columns.items()}
        datasets = ALL if self.datasets == ALL else list(self.datasets)
        return {"format": FORMAT, **asdict(self), "columns": columns, "datasets": datasets}


def request_of(
    entity: Mapping[str, str],
    key: PrivacyKey,
    *,
    principal: str,
    reason: str,
    datasets: Iterable[str] | None = None,
    earlier: Sequence[PrivacyKey] = (),
) -> ErasureRequest:
    """Make a request for the rows in which every column of `entity` has the given value.

    Args:
        entity: column -> value as text, also for columns of whole numbers.
        key: privacy key for the digests.
        principal: person who makes the request.
        reason: reason for the record. It must not name the person.
        datasets: datasets to search; by default all.
        earlier: former keys that releases were pseudonymised with.

    Raises:
        DeclarationError: the entity is empty, the reason is missing, or the reason holds the value.
    """
    if not entity or not all(name and value for name, value in entity.items()):
        raise DeclarationError("the erasure names no person", fix="--entity customer_id=4711")
    if not reason.strip() or any(value in reason.split() for value in entity.values()):
        raise DeclarationError(
            "the reason is empty, or contains the person's value, and it is stored permanently",
            fix="give a case number, and say who requested the erasure",
        )
    columns = {name: _digests(name, value, key, earlier) for name, value in sorted(entity.items())}
    scope = ALL if datasets is None else tuple(sorted(set(datasets)))
    identity = digest([{name: list(digests) for name, digests in columns.items()}, key.id, scope])[
        :32
    ]
    return ErasureRequest(identity, columns, key.id, scope, now_us(), principal, reason)


def _digests(
    column: str, value: str, key: PrivacyKey, earlier: Sequence[PrivacyKey]
) -> tuple[str, ...]:
    forms: list[str | int] = [value]
    if value.removeprefix("-").isdecimal() and int(value) in _INT64:
        forms.append(int(value))
    spellings = [
        *forms,
        *(privacy_key.pseudonym(form) for privacy_key in (key, *earlier) for form in forms),
    ]
    return tuple(sorted({key.subject(column, spelling) for spelling in spellings}))


def record(store: Store, request: ErasureRequest) -> ErasureRequest:
    """Record the request; return the recorded one if the same request was made before."""
    path = f"{FOLDER}/{request.id}/request.json"
    store.storage.create(path, canonical_json(request.to_json()) + b"\n")
    return _read(store, path)


def requests(store: Store) -> list[ErasureRequest]:
    """All recorded requests, oldest first."""
    paths = [entry.path for entry in store.storage.walk(FOLDER)]
    recorded = [_read(store, path) for path in paths if path.endswith("/request.json")]
    return sorted(recorded, key=lambda request: (request.at, request.id))


def _read(store: Store, path: str) -> ErasureRequest:
    form = json.loads(store.storage.read_bytes(path))
    if form["format"] > FORMAT:
        raise StateError(
            f"the erasure has format {form['format']}, this Headrace reads up to {FORMAT}",
            where=f"{store.storage.address}/{path}",
            fix="upgrade headrace",
        )
    del form["format"]
    columns = {name: tuple(values) for name, values in form["columns"].items()}
    datasets = form["datasets"]
    scope = datasets if datasets == ALL else tuple(datasets)
    return ErasureRequest(**{**form, "columns": columns, "datasets": scope})


def rows_meant(table: pa.Table, request: ErasureRequest, key: PrivacyKey) -> Mask:
    """Mask of the rows that match `request`, bool [rows]; all False if a column is missing."""
    if not set(request.columns) <= set(table.column_names) or not table.num_rows:
        return np.zeros(table.num_rows, np.bool_)
    mask = np.ones(table.num_rows, np.bool_)
    for column, digests in request.columns.items():
        mask &= _cells_meant(table.column(column), column, frozenset(digests), key)
    return mask


def _cells_meant(
    column: pa.ChunkedArray, name: str, digests: frozenset[str], key: PrivacyKey
) -> Mask:
    kind = canonical_type(column.type)
    if kind not in TELLABLE:
        return np.zeros(len(column), np.bool_)
    flat = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    encoded = pc.dictionary_encode(flat.combine_chunks())
    values = encoded.dictionary.to_pylist()
    if kind == "float64":
        values = [_as_integer(value) for value in values]
    matches = np.array([key.subject(name, value) in digests for value in values] + [False])
    codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    cells: Mask = matches[codes]
    return cells


def _as_integer(value: float) -> str | int:
    """A whole-number float as an int (pandas makes floats of integers with nulls), or ""."""
    return int(value) if value.is_integer() and abs(value) < 2**63 else ""


def key_of(request: ErasureRequest) -> PrivacyKey:
    """The privacy key of `request`. Raises StateError if it is not configured."""
    keys = {key.id: key for key in PrivacyKey.find_all(f"finding the rows of {request}")}
    if request.key_id not in keys:
        raise StateError(
            f"{request} was recorded with the privacy key {request.key_id}, which is not set here",
            where=FOLDER,
            fix="add that key as another line of the key file",
        )
    return keys[request.key_id]


def without_erased(
    store: Store, dataset: str, frame: pa.Table
) -> tuple[pa.Table, tuple[dict[str, Any], ...]]:
    """Remove the rows of all erased persons from `frame`; also return the erasures that matched."""
    entries = []
    for request in requests(store):
        if not request.covers(dataset) or not set(request.columns) <= set(frame.column_names):
            continue
        mask = rows_meant(frame, request, key_of(request))
        if mask.any():
            frame = frame.filter(pa.array(~mask))
            entries.append(request.entry())
    return frame, tuple(entries)


def together(
    latest: Manifest | None, erased: tuple[dict[str, Any], ...]
) -> tuple[Mapping[str, Any], ...]:
    """Erasures for the next manifest: those of the latest release, then new ones of `erased`."""
    earlier = latest.erasures if latest else ()
    ids = {entry["id"] for entry in earlier}
    return (*earlier, *(entry for entry in erased if entry["id"] not in ids))
