"""Manifest of a release: a JSON document whose sha256 identifies the release.

The current format is 2. A document of format 1 keeps its format, and so its sha256.
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
    """A published input table of a release.

    `batches` are the ids of the batches in the snapshot. To keep the manifest small, it holds only
    their number and the digest of an object that lists them.
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
class ManifestColumn:
    """A column of a release; `role` is key, time, spine, feature, label or split."""

    name: str
    type: str
    role: str


@dataclass(frozen=True)
class Part:
    """Consecutive rows of a split, stored as one object.

    Attributes:
        object: sha256 of the Parquet file, its name in the store.
        bytes: size of the file.
        rows: number of rows; 0 only if the whole split is empty.
        row_sum: sum of the row digests, 64 hex digits; the row sums of the parts add up to that of
            the split.
        first, last: (t in microseconds UTC, *key) of the first and the last row as JSON values;
            empty if there are no rows, and in releases of format 1.
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
    """One split: its parts in row order, its row count and row sum, and column statistics."""

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
    """Complete description of a release. It has no creation time, so equal inputs give equal bytes.

    Attributes:
        pipeline: pipeline that declares the release; "" for a training set released by hand.
        live_since_us: in recorded mode, the moment the pipeline went live; microseconds UTC.
        fits: column -> sha256 of the JSON object with its fitted transforms.
        privacy: column -> {"class", "treatment", "key_id"}.
        retention: {"until_us", "because"}, or empty.
        lineage, coverage, card: sha256 of a JSON object of the store, or ""; `card` holds the
            hand-written statements of the dataset card.
        erasures: erasures applied to the release: {"id", "at_us", "because"}, without the
            person's value.
        terms: obligations from the licences of the sources; see
            `headrace.datasets.governance.rules.Terms`.
        withheld: time spans with faulty rows, which are in no split: {"from_us", "until_us",
            "because"}; absent from the document if empty.
        leakage: {"twins": {split: rows}, "groups": {split: rows}, "because"}: number of leaking
            rows by split, as `headrace.datasets.splits.leakage` counts them.
    """

    name: str
    version: str
    change: str
    reasons: tuple[str, ...]
    previous: str | None
    content_hash: str
    rows: int
    columns: tuple[ManifestColumn, ...]
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
        """The JSON document, in the format of the release."""
        form = {item.name: getattr(self, item.name) for item in fields(self)}
        document = {
            **form,
            "reasons": list(self.reasons),
            "licences": list(self.licences),
            "columns": [asdict(column) for column in self.columns],
            "splits": {name: asdict(split) for name, split in self.splits.items()},
            "inputs": {table: source.to_json() for table, source in self.inputs.items()},
        }
        if not self.withheld:  # so that older documents keep their identity
            del document["withheld"]
        return _without_parts(document) if self.format == 1 else document

    @classmethod
    def from_json(cls, form: Mapping[str, Any], where: str = "") -> "Manifest":
        """Parse a manifest. Raises StateError for a newer format or an invalid document."""
        format_number = form.get("format")
        if not isinstance(format_number, int) or not 1 <= format_number <= FORMAT:
            raise StateError(
                f"the manifest has format {format_number!r}, this Headrace reads up to {FORMAT}",
                where=where,
                fix="upgrade headrace",
            )
        try:
            return cls(**_parsed(_with_parts(form) if format_number == 1 else form))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(
                f"not a manifest of format {format_number}: {error}", where=where
            ) from error


def _parsed(form: Mapping[str, Any]) -> dict[str, Any]:
    split_names = (*SPLITS, EVALUATION)
    if set(form["splits"]) - {EVALUATION} != set(SPLITS):
        raise ValueError(f"its splits are {sorted(form['splits'])}")
    return {
        **form,
        "reasons": tuple(form["reasons"]),
        "licences": tuple(form["licences"]),
        "columns": tuple(ManifestColumn(**column) for column in form["columns"]),
        # JSON objects have no order, but splits do: rows of a release are sorted by split.
        "splits": {
            name: SplitEntry.from_json(form["splits"][name])
            for name in split_names
            if name in form["splits"]
        },
        "inputs": {table: InputTable.from_json(entry) for table, entry in form["inputs"].items()},
        "erasures": tuple(form.get("erasures", ())),
        "withheld": tuple(form.get("withheld", ())),
    }


# Format 1 has one object for each split, and none of these fields.

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
    """Convert format 1 to format 2: each split becomes one part without first and last row."""
    if later := sorted(set(form) & set(_LATER)):
        raise ValueError(f"it has {later}, which format 1 does not have")
    splits = {}
    for name, old in form["splits"].items():
        part = {key: old[key] for key in (*_OF_OBJECT, "rows", "row_sum")}
        remaining = {key: value for key, value in old.items() if key not in _OF_OBJECT}
        splits[name] = {**remaining, "parts": [{**part, "first": [], "last": []}]}
    return {**form, "splits": splits}


def _without_parts(form: Mapping[str, Any]) -> dict[str, Any]:
    """Convert back to format 1, so that the sha256 of the release does not change."""
    splits = {}
    for name, split in form["splits"].items():
        (part,) = split["parts"]
        remaining = {key: value for key, value in split.items() if key != "parts"}
        splits[name] = {**{key: part[key] for key in _OF_OBJECT}, **remaining}
    remaining = {key: value for key, value in form.items() if key not in _LATER}
    return {**remaining, "splits": splits}
