"""What a dataset is, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from headrace.clock import duration, iso, parse_iso
from headrace.datasets.names import NAME
from headrace.datasets.privacy import Treatment
from headrace.errors import DeclarationError
from headrace.features.spec import Label
from headrace.files import digest


@dataclass(frozen=True)
class TimeSplits:
    """Splits by prediction time: train is t < train_until, valid up to valid_until, and so on.

    Bounds are RFC 3339 moments, excluded; a bare date is its midnight UTC. `embargo` widens the gap
    before each bound beyond what the label's horizon and settle time already keep free.
    """

    train_until: str
    valid_until: str
    test_until: str
    embargo: str = "0s"

    def __post_init__(self) -> None:
        if any(a >= b for a, b in pairwise(self.bounds)) or self.embargo_us < 0:
            raise DeclarationError(
                "splits must follow each other in time, with an embargo of zero or more",
                where=f"TimeSplits({', '.join(map(iso, self.bounds))}, embargo={self.embargo!r})",
                fix="order train_until < valid_until < test_until",
            )

    @property
    def bounds(self) -> tuple[int, int, int]:
        """Where train, valid and test end; microseconds UTC, excluded."""
        return parse_iso(self.train_until), parse_iso(self.valid_until), parse_iso(self.test_until)

    @property
    def embargo_us(self) -> int:
        return duration(self.embargo)


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset: which rows, which label, how they are split and what may be done with them.

    `key` names the columns that identify a row. `cutoff` is the moment the release looks back
    from: nothing later is used. `left_out` lists the label reasons that a row may be left out for;
    a frame with any other reason is refused, so that nothing vanishes by surprise. `commercial` is
    whether `purpose` is; a source for non-commercial use does not take silence for no. `privacy`
    gives each personal or sensitive column its treatment (see `headrace.datasets.privacy`).
    """

    name: str
    key: tuple[str, ...]
    label: Label
    splits: TimeSplits
    cutoff: str
    left_out: tuple[str, ...] = ("no outcome",)
    purpose: str = "training"
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)
    commercial: bool | None = None
    privacy: Mapping[str, Treatment] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise DeclarationError(
                f"{self.name!r} is not a dataset name",
                fix="lower-case letters, digits and underscores, starting with a letter",
            )
        if not self.key:
            raise DeclarationError(
                f"key {self.key!r} names no columns", where=f"dataset {self.name}", fix="a tuple"
            )

    @property
    def target(self) -> str:
        """The column to predict: the label's first."""
        return self.label.columns[0]

    @property
    def cutoff_us(self) -> int:
        return parse_iso(self.cutoff)

    def label_form(self) -> dict[str, Any]:
        """The label as it enters manifest and version: its meaning, and a digest of it."""
        form = {
            "name": self.label.name,
            "table": self.label.table,
            "target": self.target,
            "columns": list(self.label.columns),
            "key": list(self.label.key),
            "entity_map": dict(self.label.entity_map),
            "horizon_us": duration(self.label.horizon),
            "settle_us": duration(self.label.settle),
            "status": self.label.status,
            "excluded": list(self.label.excluded),
        }
        return {**form, "hash": digest(form)}

    def split_form(self) -> dict[str, Any]:
        """The split rule as it enters manifest and version; moments in microseconds UTC."""
        train, valid, test = self.splits.bounds
        return {
            "kind": "time",
            "train_until_us": train,
            "valid_until_us": valid,
            "test_until_us": test,
            "embargo_us": self.splits.embargo_us,
            "key": list(self.key),
            "left_out": sorted(self.left_out),
        }
