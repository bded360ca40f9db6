"""Who is to be erased: requests, kept for good, that name nobody.

    erasures/<id>/request.json        columns, keyed digests of the value, who, why, when
    erasures/<id>/<manifest id>.json  the proof that one release became another without the rows

A request holds HMACs of the value under the privacy key, so that rows can be told without knowing
whom: also the rows of a release that is made later, from tables that hold the person still. Every
release leaves out what a request names, and cannot be made without the key that tells it.
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
# Types of columns that may name somebody; whoever is named in another one cannot be told.
TELLABLE = ("int64", "string", "float64")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Request:
    """An erasure that was asked for.

    Attributes:
        id: 32 hex digits; the same request again has the same.
        columns: column -> digests of its value, as it is and as its pseudonym, as text and as a
            number. A row is meant if every column has one of its digests.
        key_id: of the privacy key that the digests were made with.
        datasets: names, or `all`.
        at: when, int64 microseconds UTC.
        principal, reason: who, and why.
    """

    id: str
    columns: Mapping[str, tuple[str, ...]]
    key_id: str
    datasets: tuple[str, ...] | str
    at: int
    principal: str
    reason: str

    def meant(self, dataset: str) -> bool:
        return self.datasets == ALL or dataset in self.datasets

    def entry(self) -> dict[str, Any]:
        """For the manifest of a release that is without these rows."""
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
) -> Request:
    """A request for the rows in which every column of `entity` has this value.

    Args:
        entity: column -> value as text; of a column of whole numbers, too.
        key: to make the digests with.
        principal: who.
        reason: why, for the record. It must not name the person.
        datasets: only these; all, if left out.
        earlier: keys that releases were pseudonymised with before.

    Raises:
        DeclarationError: nobody is named, there is no reason, or the reason holds the value.
    """
    if not entity or not all(name and value for name, value in entity.items()):
        raise DeclarationError("an erasure of nobody", fix="--entity customer_id=4711")
    if not reason.strip() or any(value in reason.split() for value in entity.values()):
        raise DeclarationError(
            "the reason is empty, or says whom: it is kept for good",
            fix="the number of the case, and on whose request",
        )
    columns = {name: _digests(name, value, key, earlier) for name, value in sorted(entity.items())}
    chosen = ALL if datasets is None else tuple(sorted(set(datasets)))
    identity = digest([{name: list(one) for name, one in columns.items()}, key.id, chosen])[:32]
    return Request(identity, columns, key.id, chosen, now_us(), principal, reason)


def _digests(
    column: str, value: str, key: PrivacyKey, earlier: Sequence[PrivacyKey]
) -> tuple[str, ...]:
    forms: list[str | int] = [value]
    if value.removeprefix("-").isdecimal() and int(value) in _INT64:
        forms.append(int(value))
    shown = [*forms, *(each.pseudonym(form) for each in (key, *earlier) for form in forms)]
    return tuple(sorted({key.subject(column, one) for one in shown}))


def record(store: Store, request: Request) -> Request:
    """Put the request on the record; the one that stands there, if it was made before."""
    path = f"{FOLDER}/{request.id}/request.json"
    store.storage.put_new(path, canonical_json(request.to_json()) + b"\n")
    return _read(store, path)


def requests(store: Store) -> list[Request]:
    """Every erasure that was asked for, oldest first."""
    paths = [one.path for one in store.storage.walk(FOLDER)]
    found = [_read(store, path) for path in paths if path.endswith("/request.json")]
    return sorted(found, key=lambda one: (one.at, one.id))


def _read(store: Store, path: str) -> Request:
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
    chosen = datasets if datasets == ALL else tuple(datasets)
    return Request(**{**form, "columns": columns, "datasets": chosen})


def rows_meant(table: pa.Table, request: Request, key: PrivacyKey) -> Mask:
    """Which rows `request` names, bool [rows]; none where a column of it is missing."""
    if not set(request.columns) <= set(table.column_names) or not table.num_rows:
        return np.zeros(table.num_rows, np.bool_)
    found = np.ones(table.num_rows, np.bool_)
    for column, digests in request.columns.items():
        found &= _cells_meant(table.column(column), column, frozenset(digests), key)
    return found


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
        values = [_whole(value) for value in values]
    meant = np.array([key.subject(name, value) in digests for value in values] + [False])
    codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    cells: Mask = meant[codes]
    return cells


def _whole(value: float) -> str | int:
    """A whole number that became a float, as one with nulls does in pandas; else what none is."""
    return int(value) if value.is_integer() and abs(value) < 2**63 else ""


def key_of(request: Request) -> PrivacyKey:
    """The privacy key that tells whom `request` names. Raises StateError if it is not given."""
    found = {key.id: key for key in PrivacyKey.given(f"{request}, which rows it means,")}
    if request.key_id not in found:
        raise StateError(
            f"{request} was recorded with the privacy key {request.key_id}, which is not given",
            where=FOLDER,
            fix="add the key of then as a further line of the file of keys",
        )
    return found[request.key_id]


def kept_out(
    store: Store, dataset: str, frame: pa.Table
) -> tuple[pa.Table, tuple[dict[str, Any], ...]]:
    """`frame` without the rows of everybody who was erased, and the erasures that took rows."""
    entries = []
    for request in requests(store):
        if not request.meant(dataset) or not set(request.columns) <= set(frame.column_names):
            continue
        meant = rows_meant(frame, request, key_of(request))
        if meant.any():
            frame = frame.filter(pa.array(~meant))
            entries.append(request.entry())
    return frame, tuple(entries)


def together(
    latest: Manifest | None, erased: tuple[dict[str, Any], ...]
) -> tuple[Mapping[str, Any], ...]:
    """The erasures that the latest release is without, and those that took rows of the next."""
    known = latest.erasures if latest else ()
    ids = {one["id"] for one in known}
    return (*known, *(one for one in erased if one["id"] not in ids))
