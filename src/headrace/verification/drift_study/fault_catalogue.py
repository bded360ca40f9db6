"""Catalogue of faults that a study injects; history, windows and seed determine an injection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from headrace.monitoring.evidence.model import Window
from headrace.verification.drift_study import concept_faults as concept
from headrace.verification.drift_study import data_faults as data
from headrace.verification.drift_study.data_faults import Change
from headrace.verification.drift_study.replayed_history import ReplayedHistory
from headrace.verification.drift_study.row_edits import HistoryRows, replace_rows, rows_of

Kind = Literal["data", "concept", "both"]
# Required detection: `certain` faults always within one window, `gross` and `strong` faults nearly
# always within one window, `weak` faults within several windows. The detection rate of `faint`
# faults is reported, but has no required minimum.
Grade = Literal["certain", "gross", "strong", "weak", "faint"]
LASTING = 4  # length of a weak fault in windows, within which it must be detected


@dataclass(frozen=True)
class StudyFault:
    """Fault of the catalogue; `sizes` has its size in each consecutive window."""

    name: str
    kind: Kind
    grade: Grade
    changes: tuple[Change, ...]
    sizes: tuple[float, ...]

    @property
    def lasts(self) -> int:
        return len(self.sizes)

    @property
    def moves_labels_only(self) -> bool:
        return self.kind == "concept"


@dataclass(frozen=True, eq=False)
class Planted:
    """History with an injected fault; `touched` names columns, or segments as `column=category`."""

    fault: StudyFault
    history: ReplayedHistory
    windows: tuple[Window, ...]
    seed: int
    touched: tuple[str, ...]


def plant(
    fault: StudyFault, history: ReplayedHistory, windows: Sequence[Window], seed: int
) -> Planted:
    """Inject `fault` in consecutive windows of `history`, which must all have scores.

    A fault over several windows touches the same columns and segments in each window: they are
    chosen with the same seed, from the rows before the first window.

    Raises:
        DeclarationError: the history has nothing that the fault could touch.
    """
    touched: tuple[str, ...] = ()
    changed, before = history, None
    place = CATALOGUE_PLACES.get(fault.name, 0)
    for window, size in zip(windows, fault.sizes, strict=True):
        rng = np.random.default_rng([seed, place])
        rows = rows_of(changed, window, labels=fault.moves_labels_only, before=before)
        before = rows.before
        rows, touched = _changed(fault, rows, size, rng)
        changed = replace_rows(rows)
    return Planted(fault, changed, tuple(windows), seed, touched)


def _changed(
    fault: StudyFault, rows: HistoryRows, size: float, rng: np.random.Generator
) -> tuple[HistoryRows, tuple[str, ...]]:
    names: tuple[str, ...] = ()
    for change in fault.changes:
        rows, touched = change(rows, size, rng)
        names = (*names, *touched)
    return rows, names


def _fault(
    name: str, kind: Kind, grade: Grade, change: Change | tuple[Change, ...], *sizes: float
) -> StudyFault:
    changes = change if isinstance(change, tuple) else (change,)
    return StudyFault(
        name, kind, grade, changes, sizes * LASTING if _repeats(grade, sizes) else sizes
    )


def _repeats(grade: Grade, sizes: tuple[float, ...]) -> bool:
    return grade in {"weak", "faint"} and len(sizes) == 1


def _sized(size: float, change: Change) -> Change:
    """Return a change with a fixed size, independent of the fault's size."""
    return lambda rows, _, rng: change(rows, size, rng)


CATALOGUE: tuple[StudyFault, ...] = (
    _fault("unit changed", "data", "certain", data.unit, 1.0),
    _fault("column renamed", "data", "certain", data.vanished, 1.0),
    _fault("30% missing", "data", "certain", data.missing, 0.3),
    _fault("30% unseen levels", "data", "certain", data.unseen, 0.3),
    _fault("columns swapped", "data", "gross", data.swapped, 1.0),
    _fault("sensor frozen", "data", "gross", data.frozen, 1.0),
    _fault("sensor bias of 2 sd", "data", "gross", data.bias, 2.0),
    _fault("20% sentinels", "data", "gross", data.sentinel, 0.2),
    _fault("rows doubled", "data", "gross", data.doubled, 1.0),
    _fault("half of the rows lost", "data", "gross", data.truncated, 0.5),
    _fault("covariate shift of 1 sd", "data", "gross", data.covariate, 1.0),
    _fault("10% missing", "data", "weak", data.missing, 0.1),
    _fault("unit changed in a 30% segment", "data", "weak", data.unit, 0.3),
    _fault("sensor frozen in a 30% segment", "data", "weak", data.frozen, 0.3),
    _fault("sensor bias of 1 sd", "data", "weak", data.bias, 1.0),
    _fault("sensor bias of 0.5 sd", "data", "weak", data.bias, 0.5),
    _fault("5% sentinels", "data", "weak", data.sentinel, 0.05),
    _fault("30% segment lost", "data", "weak", data.segment_missing, 0.3),
    _fault("covariate shift of 0.5 sd", "data", "weak", data.covariate, 0.5),
    _fault("gradual covariate shift", "data", "weak", data.covariate, 0.25, 0.5, 0.75, 1.0),
    _fault("column joined wrongly", "data", "faint", data.misjoined, 1.0),
    _fault("half of all labels flipped", "concept", "strong", concept.flip(1.0), 0.5),
    _fault("all labels flipped", "concept", "strong", concept.flip(1.0), 1.0),
    _fault("30% segment, all flipped", "concept", "strong", concept.flip(0.3), 1.0),
    _fault("relation reversed", "concept", "strong", concept.reversed_, 1.0),
    _fault("15% segment, all flipped", "concept", "weak", concept.flip(0.15), 1.0),
    _fault("15% segment, half flipped", "concept", "weak", concept.flip(0.15), 0.5),
    _fault("15% segment, 30% flipped", "concept", "faint", concept.flip(0.15), 0.3),
    _fault("30% segment, half flipped", "concept", "weak", concept.flip(0.3), 0.5),
    _fault("30% segment, 30% flipped", "concept", "weak", concept.flip(0.3), 0.3),
    _fault("30% of all labels flipped", "concept", "weak", concept.flip(1.0), 0.3),
    _fault("gradual concept drift", "concept", "weak", concept.flip(1.0), 0.1, 0.2, 0.35, 0.5),
    _fault("a feature's effect gone", "concept", "faint", concept.vanished_effect, 1.0),
    _fault(
        "covariate shift and labels flipped", "both", "strong",
        (data.covariate, _sized(0.5, concept.flip(1.0))), 1.0,
    ),
    _fault(
        "unit changed and relation reversed", "both", "strong",
        (concept.reversed_, data.unit), 1.0,
    ),
)  # fmt: skip
# A fault's position in the catalogue is part of its seed, so that not all choose the same column.
CATALOGUE_PLACES = {fault.name: at for at, fault in enumerate(CATALOGUE)}
