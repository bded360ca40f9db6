"""Detection of semantic changes in one batch.

Most findings need two things: the batch is unusual compared with earlier batches, and undoing a
hypothetical change, such as of a unit, makes it usual again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from headrace.contracts.drift.baseline import Baseline
from headrace.contracts.drift.batch_view import BatchView
from headrace.contracts.drift.detectors.codes.broken_dependencies import broken_dependencies
from headrace.contracts.drift.detectors.codes.categories import level_changes
from headrace.contracts.drift.detectors.codes.level_counts import level_counts
from headrace.contracts.drift.detectors.coverage import missing_parts
from headrace.contracts.drift.detectors.precision import fine_marks, nulls, precision_changes
from headrace.contracts.drift.detectors.renames import renames
from headrace.contracts.drift.detectors.repeated_rows import (
    copied_rows,
    duplicates,
    in_earlier_batches,
    repeated_values,
    stale_rows,
)
from headrace.contracts.drift.detectors.sentinels import sentinels
from headrace.contracts.drift.detectors.signs import sign_changes
from headrace.contracts.drift.detectors.stuck_readings import frozen, most_marks, run_marks
from headrace.contracts.drift.detectors.swaps import swaps
from headrace.contracts.drift.detectors.units import unit_changes
from headrace.contracts.drift.detectors.value_shares import value_shares
from headrace.contracts.drift.detectors.wrong_delivery import key_shifts, wrong_period
from headrace.contracts.drift.detectors.zones import zone_shifts
from headrace.contracts.drift.file_form import file_form, written_otherwise
from headrace.contracts.drift.findings import ACTIONS, DriftFinding
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.profile import BatchProfile
from headrace.contracts.drift.unexplained import unusual

LEAST_HISTORY = 14  # earlier batches required before findings are reported

# Headlines in the order in which they are shown. What is the wrong delivery comes first, then its
# structure, then the meaning of columns, then mere distributions.
_ORDER = (
    frozenset({"file_form", "rename", "decimal_comma"}),
    frozenset({"repeated_delivery", "wrong_period", "key_shift"}),
    frozenset({"repeated_rows", "doubled_rows", "truncation"}),
    frozenset(ACTIONS) - {"unusual", "far_from_usual", "dependency", "new_level", "duplicates"},
)

# Kinds by which rows were dropped: what is published may still be judged.
_DROPPED = frozenset({"duplicates", "doubled_rows"})

_COLUMN_CHANGES: tuple[Callable[[DriftCase], Iterator[DriftFinding]], ...] = (
    unit_changes,
    swaps,
    zone_shifts,
    sentinels,
    frozen,
    value_shares,
    sign_changes,
    level_changes,
    level_counts,
    broken_dependencies,
    precision_changes,
    nulls,
)

_WRONG_DELIVERIES: tuple[Callable[[DriftCase], Iterator[DriftFinding]], ...] = (
    stale_rows,
    repeated_values,
    wrong_period,
    key_shifts,
    copied_rows,
)


@dataclass(frozen=True)
class Examination:
    """Findings of one batch, most severe first, and its marks, which later batches compare with.

    `notes` list what was not examined: detectors that failed and columns that could not be read.
    `explained` are the findings that are not reported because `findings` explain them.
    """

    findings: tuple[DriftFinding, ...]
    marks: Mapping[str, float]
    notes: tuple[str, ...] = ()
    explained: tuple[DriftFinding, ...] = ()


def _never(finding: DriftFinding) -> bool:
    """Return False: every finding counts."""
    del finding
    return False


def examine(
    look: BatchView,
    reference: Baseline,
    text: Mapping[str, pa.Array] | None = None,
    exempt: Callable[[DriftFinding], bool] = _never,
) -> Examination:
    """Compare a batch with earlier ones; no findings until there are `LEAST_HISTORY` of them.

    Args:
        look: the batch.
        reference: the baseline built from the batches before it.
        text: the delivered text of every column, if the contract rejects the batch.
        exempt: returns True for a finding that does not count. It is reported, but explains no
            other finding: the batch is judged as if this change were not in it.
    """
    case = DriftCase(look, reference, text or {})
    detections = _Detections(case)
    findings = _findings(detections, exempt)
    explained = _explained(detections, findings, exempt)
    marks = _marks(case)
    return Examination(findings, marks, (*_unexamined(look), *case.notes), explained)


def detect(
    look: BatchView, reference: Baseline, text: Mapping[str, pa.Array] | None = None
) -> tuple[DriftFinding, ...]:
    """Return only the findings of `examine`."""
    return _findings(_Detections(DriftCase(look, reference, text or {})), _never)


@dataclass(frozen=True)
class _Detections:
    """Results of the detectors on one batch; each runs once, when it is first needed."""

    case: DriftCase
    results: dict[str, list[DriftFinding]] = field(default_factory=dict)

    def of(self, change: Callable[[DriftCase], Iterator[DriftFinding]]) -> list[DriftFinding]:
        if change.__name__ not in self.results:
            self.results[change.__name__] = _detected(change, self.case)
        return self.results[change.__name__]


def _explained(
    detections: _Detections,
    findings: Sequence[DriftFinding],
    exempt: Callable[[DriftFinding], bool],
) -> tuple[DriftFinding, ...]:
    """Return what would be reported beside `findings` if they explained nothing."""
    reported = list(findings)

    def is_reported(finding: DriftFinding) -> bool:
        return exempt(finding) or finding in reported

    while new := [f for f in _findings(detections, is_reported) if f not in reported]:
        reported.extend(new)
    return tuple(reported[len(findings) :])


def _findings(
    detections: _Detections, exempt: Callable[[DriftFinding], bool]
) -> tuple[DriftFinding, ...]:
    """Compose the findings; exempt ones are included, and explain nothing."""
    case = detections.case
    if case.reference.batches < LEAST_HISTORY:
        return ()
    unreadable = detections.of(file_form) or [
        *detections.of(renames),
        *detections.of(written_otherwise),
    ]
    if unreadable:
        return tuple(unreadable)
    batch = [f for change in _WRONG_DELIVERIES for f in detections.of(change)]
    if any(f.kind == "repeated_delivery" and not exempt(f) for f in batch):
        return _ordered(batch)
    is_other_period = any(f.kind == "wrong_period" and not exempt(f) for f in batch)
    # Findings of one column are rival explanations: an exempt one competes as well.
    columns = best([f for change in _COLUMN_CHANGES for f in detections.of(change)])
    if is_other_period:
        columns = [f for f in columns if f.kind != "zone_shift"]
    batch += detections.of(duplicates)
    if not is_other_period and not any(
        f.kind in {"zone_shift", "swap", "unit_change"} and not exempt(f) for f in columns
    ):
        batch += detections.of(missing_parts)
    findings = [*columns, *batch]
    counted = [f for f in findings if not exempt(f)]
    explained = {name for f in counted for name in f.columns}
    of_batch = any(not f.columns and f.kind not in _DROPPED for f in counted) or is_other_period
    if not of_batch:
        statistics = [f for f in detections.of(unusual) if not explained.intersection(f.columns)]
        findings += [f for f in statistics if exempt(f)]
        findings += best([f for f in statistics if not exempt(f)])
    return _ordered(findings)


def _ordered(findings: Sequence[DriftFinding]) -> tuple[DriftFinding, ...]:
    """Sort by class of headline, then by weight."""

    def place(finding: DriftFinding) -> int:
        classes = (at for at, kinds in enumerate(_ORDER) if finding.kind in kinds)
        return next(classes, len(_ORDER))

    return tuple(sorted(findings, key=lambda f: (place(f), -f.weight)))


def _detected(
    change: Callable[[DriftCase], Iterator[DriftFinding]], case: DriftCase
) -> list[DriftFinding]:
    """Run one detector; return no findings, and add a note, if it raises."""
    name = f"the detector {change.__name__.lstrip('_')}"
    return case.guarded(name, lambda: list(change(case)), [])


def _unexamined(look: BatchView) -> list[str]:
    """List the columns and rules that could not be examined."""
    notes = [
        f"the rule {name} could not be evaluated: {why}; it was not considered"
        for name, why in look.ruled.failures.items()
    ]
    if look.untyped:
        names = ", ".join(sorted(look.untyped))
        notes.append(f"cells of {names} could not be read in their type: nothing was compared")
    return notes


def _marks(case: DriftCase) -> dict[str, float]:
    return case.guarded("comparing with the batches before", lambda: _marks_of(case), {})


def _marks_of(case: DriftCase) -> dict[str, float]:
    look = case.look
    marks = {
        **case.fit.marks,
        **case.statistics,
        **run_marks(look),
        **most_marks(look),
        **fine_marks(look),
    }
    if case.reference.batches and case.look.rows:
        marks["seen"] = float(in_earlier_batches(case.look, case.reference).mean())
    return marks


def best(findings: Sequence[DriftFinding]) -> list[DriftFinding]:
    """Keep, among findings that share a column, only the one with the greatest weight."""
    best_findings: list[DriftFinding] = []
    for finding in sorted(findings, key=lambda f: -f.weight):
        explained = {name for other in best_findings for name in other.columns}
        if not explained.intersection(finding.columns):
            best_findings.append(finding)
    return best_findings


def marked(profile: BatchProfile, look: BatchView, reference: Baseline) -> BatchProfile:
    """Return the batch's profile with its marks added, for comparison with later batches."""
    return replace(profile, marks=_marks(DriftCase(look, reference)))
