"""Roll a dataset forward to a later moment: the same split rule with later bounds.

The meaning of a row does not change, so the next release is a MINOR version. Spans with faulty data
are withheld from it; the manifest lists them with their reasons.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.core.clock import duration, iso
from headrace.core.errors import DeclarationError
from headrace.datasets.spec import DatasetSpec
from headrace.datasets.splits.rules import TimeSplits

WITHHELD = "withheld"


@dataclass(frozen=True, order=True)
class Withheld:
    """Span [from_us, until_us), microseconds UTC, whose rows are in no split; and the reason."""

    from_us: int
    until_us: int
    because: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "Withheld":
        return cls(int(form["from_us"]), int(form["until_us"]), str(form["because"]))


def inside(spans: Iterable[Withheld], t: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """True for moments `t` (microseconds UTC) that are in any of the spans."""
    flags = np.zeros(len(t), np.bool_)
    for span in spans:
        flags |= (t >= span.from_us) & (t < span.until_us)
    return flags


def rolled(spec: DatasetSpec, as_of: int, valid: str, test: str) -> DatasetSpec:
    """Roll `spec` forward so that its data ends at `as_of` (microseconds UTC).

    With `TimeSplits`, the last `test` (a duration) before `as_of` becomes the test split, and the
    duration `valid` before it the validation split. With other splits, the declared time bounds
    move. All other rules stay.

    Raises:
        DeclarationError: the splits have no time bound, so no row is newer than training; or a
            split is so short that none of its labels is mature at its end.
    """
    _check_lengths(spec, valid, test)
    tested = as_of - duration(test)
    splits = spec.splits
    if isinstance(splits, TimeSplits):
        bounds = (tested - duration(valid), tested, as_of)
        train, valid_until, test_until = map(iso, bounds)
        rolled_splits: Any = replace(
            splits, train_until=train, valid_until=valid_until, test_until=test_until
        )
    elif splits.after is not None:
        until = None if splits.until is None else iso(as_of)
        rolled_splits = replace(splits, after=iso(tested), until=until)
    else:
        raise DeclarationError(
            "the splits have no time bound to roll forward",
            where=f"dataset {spec.name}",
            fix="TimeSplits, or after=... in the splits: test rows must be newer than"
            " training rows",
        )
    apart = spec.evaluation
    if apart is not None:
        ends = None if apart.until is None else iso(as_of)
        apart = replace(apart, after=iso(tested), until=ends)
    return replace(spec, splits=rolled_splits, evaluation=apart, cutoff=iso(as_of))


def _check_lengths(spec: DatasetSpec, valid: str, test: str) -> None:
    """Raise if the validation or test split would have no rows, for lack of mature labels."""
    label = spec.label
    embargo = spec.splits.embargo if isinstance(spec.splits, TimeSplits) else "0s"
    lengths = {"test": (test, 0)}
    if isinstance(spec.splits, TimeSplits):
        lengths["valid"] = (valid, spec.splits.embargo_us)
    for name, (length, gap) in lengths.items():
        if duration(length) <= label.matures_after + gap:
            parts = f"horizon {label.horizon}, settle {label.settle}"
            raise DeclarationError(
                f"Retraining({name}={length!r}) leaves no rows in that split: labels are mature"
                f" only after {parts}" + (f" and embargo {embargo}" if gap else ""),
                where=f"dataset {spec.name}",
                fix=f"make {name} longer than these together",
            )
