"""What a release says of itself: one JSON document, whose sha256 is its identity.

Format 2. A document of format 1 is read as what it was, and stays one: its identity is its bytes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from headrace.core.errors import StateError
from headrace.core.files import digest
from headrace.datasets.vocabulary import EVALUATION, SPLITS

FORMAT = 2


@dataclass(frozen=True)
class InputTable:
    """What a release took from one published table.

    `batches` are the ids of the batches live in the snapshot. In a manifest they are replaced by
    their number and the digest of an object that lists them, which keeps the manifest small.
    """

    snapshot_id: int | str | None
    contract_version: str
    contract_hash: str
    licence: str
    purposes: tuple[str, ...]
    owner: str = ""
    verdicts: Mapping[str, int] = field(default_factory=dict, hash=False)
    overrides: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    batch_count: int = 0
    batch_list: str = ""

    def to_json(self) -> dict[str, Any]:
        form = asdict(self)
        del form["batches"]
        return {**form, "purposes": sorted(self.purposes), "overrides": sorted(self.overrides)}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "InputTable":
        lists = {"purposes": tuple(form["purposes"]), "overrides": tuple(form["overrides"])}
        return cls(**{**form, **lists})


@dataclass(frozen=True)
class Column:
    """A column of a release; `role` is key, time, spine, feature, label or split."""

    name: str
    type: str
    role: str


@dataclass(frozen=True)
class Part:
    """Rows of a split that follow each other, stored as one object.

    Attributes:
        object: sha256 of the Parquet file, which lies in the store under this name.
        bytes: its size.
        rows: its rows; 0 only where the whole split is empty.
        row_sum: the sum of its row digests, 64 hex digits; a split's is the sum of its parts'.
        first, last: (t in microseconds UTC, *key) of the first and the last row as JSON values;
            empty for no rows, and where the release was written before parts were.
    """

    object: str
    bytes: int
    rows: int
    row_sum: str
    first: tuple[Any, ...] = ()
    last: tuple[Any, ...] = ()

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "Part":
        return cls(**{**form, "first": tuple(form["first"]), "last": tuple(form["last"])})


@dataclass(frozen=True)
class SplitEntry:
    """One split: its parts in the order of the rows, its share of the content, and statistics."""

    parts: tuple[Part, ...]
    rows: int
    row_sum: str
    left_out: Mapping[str, int] = field(default_factory=dict, hash=False)
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "SplitEntry":
        return cls(**{**form, "parts": tuple(map(Part.from_json, form["parts"]))})


@dataclass(frozen=True)
class Manifest:
    """All that fixes a release. Equal inputs give equal bytes: the time of making is kept apart.

    Attributes:
        pipeline: whose declaration made it; "" for a frame released by hand.
        live_since_us: in recorded mode, since when the pipeline is live; microseconds UTC.
        fits: name -> sha256 of a JSON object of the store.
        privacy: column -> {"class", "treatment", "key_id"}.
        retention: {"until_us", "because"}, or empty.
        lineage, coverage, card: sha256 of a JSON object of the store, or ""; `card` is what people
            state of the dataset.
        erasures: what was erased from it or is kept out of it: {"id", "at_us", "because"}; never a
            key in clear.
        terms: what the licences of its sources oblige to; see
        `headrace.datasets.governance.rules.Terms`.
        withheld: spans of faulty rows in no split: {"from_us", "until_us", "because"}; stands in
            the document only where there are some.
        leakage: {"twins", "groups": {split: rows that are in another, too}, "because"}.
    """

    name: str
    version: str
    change: str
    reasons: tuple[str, ...]
    previous: str | None
    content_hash: str
    rows: int
    columns: tuple[Column, ...]
    label: Mapping[str, Any]
    split_rule: Mapping[str, Any]
    cutoff_us: int
    mode: str
    splits: Mapping[str, SplitEntry]
    left_out: Mapping[str, int]
    inputs: Mapping[str, InputTable]
    definitions: Mapping[str, str]
    fits: Mapping[str, str]
    parameters: Mapping[str, Any]
    code_revision: str
    purpose: str
    description: str
    licences: tuple[str, ...]
    pipeline: str = ""
    live_since_us: int | None = None
    privacy: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    retention: Mapping[str, Any] = field(default_factory=dict)
    lineage: str = ""
    coverage: str = ""
    leakage: Mapping[str, Any] = field(default_factory=dict)
    erasures: tuple[Mapping[str, Any], ...] = ()
    terms: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    withheld: tuple[Mapping[str, Any], ...] = ()
    format: int = FORMAT

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def id(self) -> str:
        """sha256 of the canonical JSON."""
        return digest(self.to_json())

    @property
    def key(self) -> tuple[str, ...]:
        return self.of_role("key")

    @property
    def features(self) -> tuple[str, ...]:
        return self.of_role("feature")

    @property
    def target(self) -> str:
        return str(self.label["target"])

    def of_role(self, role: str) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.role == role)

    def to_json(self) -> dict[str, Any]:
        """The document, in the format that the release has."""
        form = {item.name: getattr(self, item.name) for item in fields(self)}
        document = {
            **form,
            "reasons": list(self.reasons),
            "licences": list(self.licences),
            "columns": [asdict(column) for column in self.columns],
            "splits": {name: asdict(split) for name, split in self.splits.items()},
            "inputs": {table: given.to_json() for table, given in self.inputs.items()},
        }
        if not self.withheld:  # as in documents from before it was known
            del document["withheld"]
        return _without_parts(document) if self.format == 1 else document

    @classmethod
    def from_json(cls, form: Mapping[str, Any], where: str = "") -> "Manifest":
        """Raises StateError for a newer format or a document that is no manifest."""
        found = form.get("format")
        if not isinstance(found, int) or not 1 <= found <= FORMAT:
            raise StateError(
                f"the manifest has format {found!r}, this Headrace reads up to {FORMAT}",
                where=where,
                fix="upgrade headrace",
            )
        try:
            return cls(**_parsed(_with_parts(form) if found == 1 else form))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"not a manifest of format {found}: {error}", where=where) from error


def _parsed(form: Mapping[str, Any]) -> dict[str, Any]:
    known = (*SPLITS, EVALUATION)
    if set(form["splits"]) - {EVALUATION} != set(SPLITS):
        raise ValueError(f"its splits are {sorted(form['splits'])}")
    return {
        **form,
        "reasons": tuple(form["reasons"]),
        "licences": tuple(form["licences"]),
        "columns": tuple(Column(**column) for column in form["columns"]),
        # JSON objects have no order; splits have one, and the rows of a release with them.
        "splits": {
            name: SplitEntry.from_json(form["splits"][name])
            for name in known
            if name in form["splits"]
        },
        "inputs": {table: InputTable.from_json(one) for table, one in form["inputs"].items()},
        "erasures": tuple(form.get("erasures", ())),
        "withheld": tuple(form.get("withheld", ())),
    }


# Format 1 had one object a split, and none of the fields below.

_LATER = (
    "pipeline",
    "live_since_us",
    "privacy",
    "retention",
    "lineage",
    "coverage",
    "erasures",
    "terms",
    "leakage",
    "card",
    "withheld",
)
_OF_OBJECT = ("object", "bytes")


def _with_parts(form: Mapping[str, Any]) -> dict[str, Any]:
    """Format 1 as format 2 reads it: each split is one part, whose ends are not known."""
    if later := sorted(set(form) & set(_LATER)):
        raise ValueError(f"it has {later}, which came later")
    splits = {}
    for name, old in form["splits"].items():
        part = {key: old[key] for key in (*_OF_OBJECT, "rows", "row_sum")}
        kept = {key: value for key, value in old.items() if key not in _OF_OBJECT}
        splits[name] = {**kept, "parts": [{**part, "first": [], "last": []}]}
    return {**form, "splits": splits}


def _without_parts(form: Mapping[str, Any]) -> dict[str, Any]:
    """The way back, so that the identity of a release of format 1 stays what it was."""
    splits = {}
    for name, split in form["splits"].items():
        (part,) = split["parts"]
        kept = {key: value for key, value in split.items() if key != "parts"}
        splits[name] = {**{key: part[key] for key in _OF_OBJECT}, **kept}
    kept = {key: value for key, value in form.items() if key not in _LATER}
    return {**kept, "splits": splits}
