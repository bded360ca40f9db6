"""What a release says of itself: one JSON document, whose sha256 is its identity."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from headrace.datasets.names import SPLITS
from headrace.errors import StateError
from headrace.files import digest

FORMAT = 1


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
class SplitEntry:
    """One split: its object, its part of the content, and statistics per column."""

    object: str
    bytes: int
    rows: int
    row_sum: str
    left_out: Mapping[str, int] = field(default_factory=dict, hash=False)
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Manifest:
    """All that fixes a release. Equal inputs give equal bytes: the time of making is kept apart."""

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
        form = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            **form,
            "reasons": list(self.reasons),
            "licences": list(self.licences),
            "columns": [asdict(column) for column in self.columns],
            "splits": {name: asdict(split) for name, split in self.splits.items()},
            "inputs": {table: given.to_json() for table, given in self.inputs.items()},
        }

    @classmethod
    def from_json(cls, form: Mapping[str, Any], where: str = "") -> "Manifest":
        """Raises StateError for a newer format or a document that is no manifest."""
        found = form.get("format")
        if not isinstance(found, int) or found > FORMAT:
            raise StateError(
                f"the manifest has format {found!r}, this Headrace reads up to {FORMAT}",
                where=where,
                fix="upgrade headrace",
            )
        try:
            return cls(**{**form, **_parsed(form)})
        except (KeyError, TypeError) as error:
            raise StateError(f"not a manifest of format {found}: {error}", where=where) from error


def _parsed(form: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reasons": tuple(form["reasons"]),
        "licences": tuple(form["licences"]),
        "columns": tuple(Column(**column) for column in form["columns"]),
        # JSON objects have no order; splits have one, and the rows of a release with them.
        "splits": {name: SplitEntry(**form["splits"][name]) for name in SPLITS},
        "inputs": {table: InputTable.from_json(one) for table, one in form["inputs"].items()},
    }
